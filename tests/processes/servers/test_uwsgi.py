"""
uWSGI, which forks without Python's hooks. Since version 2.0.27 threads always run in it; before,
only with ``--enable-threads``.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest

from django_moloco_rmp.sandbox import SandboxServer
from tests.processes.children import PATIENCE, wait_until
from tests.processes.servers.serving import LISTENER, Server, deliver_rest, find_uwsgi, ids, written

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.servers,
    # Beside others a worker once took more than half a minute to end, of some hundred.
    pytest.mark.alone,
]


def uwsgi(*arguments: str, with_threads: bool = True, **keywords: Any) -> Server:
    command = [
        *find_uwsgi(with_threads=with_threads),
        "--http-socket",
        f"fd://{LISTENER}",
        "--module",
        "tests.processes.servers.wsgi",
        "--virtualenv",
        sys.prefix,
        "--master",
        "--processes",
        "2",
        "--need-app",
        "--die-on-term",
        *["--enable-threads"] * with_threads,
    ]
    return Server(*command, *arguments, **keywords)


@pytest.mark.parametrize("early", [False, True], ids=["", "early"])
@pytest.mark.parametrize("lazy", [True, False], ids=["lazy-apps", "preloaded"])
def test_with_threads_events_of_each_worker_are_delivered(
    sandbox: SandboxServer, lazy: bool, early: bool
) -> None:
    options = ["--lazy-apps"] * lazy
    env = {"SHOP_EMITS_EARLY": "1"} if early else {}
    with uwsgi(*options, env=env, BASE_URL=sandbox.url) as server:
        server.reach(2, "emit/PAGE_VIEW/3/")
        server.reach(2, "emit/PURCHASE/1/")
        server.reach(2, "here/")
        # What is reported while the shop is loaded, in each worker or in the master.
        expected = len(server.emitted) + early * (2 if lazy else 1)
        sandbox.wait_for(expected, PATIENCE)
        assert len(ids(sandbox)) == len(set(ids(sandbox))) == expected
        assert set(ids(sandbox)) >= set(server.emitted)
        assert {tuple(each["checks"]) for each in server.answers[-8:]} == {()}
        assert {each["threads"] for each in server.answers[-8:]} == {1}
        server.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_writes_what_is_buffered(number: signal.Signals) -> None:
    with uwsgi(RELAY="command") as server:
        server.reach(2, "emit/PAGE_VIEW/1/")
        server.end_with_full_buffers(number)
    assert written() == sorted(server.emitted)


def test_reloads_lose_nothing(sandbox: SandboxServer) -> None:
    with uwsgi("--lazy-apps", BASE_URL=sandbox.url) as server:
        server.reach(2, "emit/PAGE_VIEW/1/")
        before = set(server.pids)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.get("emit/PAGE_VIEW/2/")["pid"] not in before)
        server.reach(2, "emit/ADD_TO_CART/1/")
        server.end()
    deliver_rest(sandbox)
    assert sorted(ids(sandbox)) == sorted(server.emitted)


def test_without_threads_nothing_is_buffered_and_the_log_says_once_that_nothing_is_sent(
    sandbox: SandboxServer,
) -> None:
    with uwsgi(with_threads=False, BASE_URL=sandbox.url) as server:
        server.reach(2, "emit/PAGE_VIEW/3/")
        server.reach(2, "emit/PURCHASE/1/")
        # All of it is in the database before the page is served.
        assert written() == sorted(server.emitted)
        server.reach(2, "here/")
        assert {tuple(each["checks"]) for each in server.answers[-8:]} == {
            ("moloco_rmp.W006", "moloco_rmp.W007")
        }
        assert {each["threads"] for each in server.answers} == {0}
        server.end()
        assert server.log().count("Start it with --enable-threads") == len(server.pids)
    assert ids(sandbox) == []
    deliver_rest(sandbox)
    assert sorted(ids(sandbox)) == sorted(server.emitted)


def test_without_threads_and_with_the_command_there_is_nothing_to_say() -> None:
    with uwsgi("--processes", "1", with_threads=False, RELAY="command") as server:
        server.get("emit/PURCHASE/1/")
        assert server.get("here/")["checks"] == ["moloco_rmp.W006"]
        server.end()
        assert "Events wait" not in server.log()
