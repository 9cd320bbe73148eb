"""uvicorn, which ends by the signal that stopped it: Python's exit hooks never run."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from django_moloco_rmp.sandbox import SandboxServer
from tests.processes.children import PATIENCE
from tests.processes.servers.serving import LISTENER, Server, deliver_rest, find, ids, written

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.servers,
]


def uvicorn(*arguments: str, application: str = "application", **keywords: Any) -> Server:
    command = [*find("uvicorn"), f"tests.processes.servers.asgi:{application}", "--fd", LISTENER]
    return Server(*command, *arguments, **keywords)


@pytest.mark.parametrize("workers", [1, 2])
def test_events_of_each_worker_are_delivered_by_its_one_thread(
    sandbox: SandboxServer, workers: int
) -> None:
    with uvicorn("--workers", str(workers), RAISE_ERRORS=False, BASE_URL=sandbox.url) as server:
        server.reach(workers, "emit/PAGE_VIEW/3/")
        server.reach(workers, "aemit/PURCHASE/1/")
        server.reach(workers, "in-loop/ADD_TO_CART/1/")
        server.reach(workers, "here/")
        sandbox.wait_for(len(server.emitted), PATIENCE)
        assert sorted(ids(sandbox)) == sorted(server.emitted)
        assert {each["threads"] for each in server.answers[-8:]} == {1}
        server.end()
        # Each process says it once.
        assert server.log().count("Use await atrack(...) instead") == workers


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_with_the_drain_a_stopped_server_writes_what_is_buffered(
    workers: int, number: signal.Signals
) -> None:
    with uvicorn("--workers", str(workers), RELAY="command") as server:
        server.reach(workers, "emit/PAGE_VIEW/1/")
        server.get_many(*["emit/PAGE_VIEW/400/"] * 4)
        server.end(number)
    assert written() == sorted(server.emitted)


def test_with_the_drain_a_worker_that_has_served_enough_writes_what_is_buffered() -> None:
    with uvicorn("--limit-max-requests", "1", RELAY="command") as server:
        server.get("emit/PAGE_VIEW/50/")
        assert server.process.wait(PATIENCE) == 0
    assert written() == sorted(server.emitted)


def test_without_the_drain_only_what_was_buffered_may_be_lost(sandbox: SandboxServer) -> None:
    with uvicorn(application="plain", RELAY="command") as server:
        carts = server.get("aemit/ADD_TO_CART/20/")["ids"]
        server.get("emit/PAGE_VIEW/5/")
        assert server.end() == -signal.SIGTERM
    deliver_rest(sandbox)
    assert set(carts) <= set(ids(sandbox)) <= set(server.emitted)
    assert len(ids(sandbox)) == len(set(ids(sandbox)))
