"""gunicorn, with its kinds of workers."""

from __future__ import annotations

import signal

import pytest

from django_moloco_rmp.sandbox import SandboxServer
from tests.processes.children import PATIENCE, wait_until
from tests.processes.servers.serving import LISTENER, Server, deliver_rest, find, ids, written

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.servers,
]


def gunicorn(*arguments: str, **keywords: object) -> Server:
    command = [*find("gunicorn"), "tests.processes.servers.wsgi", "--bind", f"fd://{LISTENER}"]
    return Server(*command, *arguments, **keywords)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--workers", "2"),
        ("--workers", "2", "--worker-class", "gthread", "--threads", "4"),
        ("--workers", "4", "--preload"),
    ],
    ids=["sync", "gthread", "preload"],
)
def test_events_of_each_worker_are_delivered_by_its_one_thread(
    sandbox: SandboxServer, arguments: tuple[str, ...]
) -> None:
    workers = int(arguments[1])
    with gunicorn(*arguments, BASE_URL=sandbox.url) as server:
        server.reach(workers, "emit/PAGE_VIEW/3/")
        server.reach(workers, "emit/PURCHASE/1/")
        server.reach(workers, "here/")
        sandbox.wait_for(len(server.emitted), PATIENCE)
        assert sorted(ids(sandbox)) == sorted(server.emitted)
        assert {each["threads"] for each in server.answers[-8:]} == {1}
        assert {each["queries"] for each in server.answers if len(each.get("ids", ())) == 3} == {0}
        assert server.end() == 0


def test_a_thread_that_lives_in_the_master_is_no_harm_to_its_workers_nor_they_to_it(
    sandbox: SandboxServer,
) -> None:
    with gunicorn(
        "--workers", "4", "--preload", env={"SHOP_EMITS_EARLY": "1"}, BASE_URL=sandbox.url
    ) as server:
        server.reach(4, "emit/PAGE_VIEW/1/")
        # Workers come and go; the thread in the master sees nothing of it.
        server.process.send_signal(signal.SIGTTOU)
        server.process.send_signal(signal.SIGTTIN)
        sandbox.wait_for(len(server.emitted) + 1, PATIENCE)
        assert set(ids(sandbox)) > set(server.emitted)
        assert len(ids(sandbox)) == len(server.emitted) + 1
        assert server.end() == 0
        assert "rror" not in server.log()


def test_a_worker_that_has_served_enough_writes_what_is_buffered() -> None:
    with gunicorn("--workers", "2", "--max-requests", "1", RELAY="command") as server:
        # Each worker's last request is the one that reports: a moment later it is gone.
        for _ in range(6):
            server.get("emit/PAGE_VIEW/5/")
        assert len(server.pids) == 6
        assert server.end() == 0
    assert written() == sorted(server.emitted)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stopped_server_writes_what_is_buffered(number: signal.Signals) -> None:
    with gunicorn("--workers", "2", RELAY="command") as server:
        server.reach(2, "emit/PAGE_VIEW/1/")
        server.end_with_full_buffers(number)
    assert written() == sorted(server.emitted)


def test_reloads_lose_nothing(sandbox: SandboxServer) -> None:
    with gunicorn("--workers", "2", BASE_URL=sandbox.url) as server:
        server.reach(2, "emit/PAGE_VIEW/1/")
        for _ in range(2):
            before = set(server.pids)
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda before=before: server.get("emit/PAGE_VIEW/2/")["pid"] not in before)
            server.reach(2, "emit/ADD_TO_CART/1/")
        assert server.end() == 0
    deliver_rest(sandbox)
    assert sorted(ids(sandbox)) == sorted(server.emitted)
