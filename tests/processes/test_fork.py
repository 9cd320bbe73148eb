"""Forks of a process whose background thread is at work."""

from __future__ import annotations

import os
import signal
import time

import pytest
from django.db import connection

from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.sandbox import SandboxServer
from tests.processes.children import PATIENCE, Shop, locked_outbox, sessions, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.slow,
]

THREAD = ["moloco-rmp", True]


def test_a_child_that_ends_takes_nothing_from_its_parent(sandbox: SandboxServer) -> None:
    with Shop(BASE_URL=sandbox.url) as shop:
        # Page views are written by the thread: its connection is the only one.
        emitted = shop("emit", "PAGE_VIEW", "3")
        sandbox.wait_for(3, PATIENCE)
        wait_until(lambda: len(sessions(shop.process.pid)) == 1)
        before = sessions(shop.process.pid)
        for number, how in enumerate(["close_all", "_exit", "exit"], start=4):
            assert shop("leave", how) == 0
            emitted += shop("emit", "PAGE_VIEW")
            sandbox.wait_for(number, PATIENCE)
            assert sessions(shop.process.pid) == before, how
        assert shop("threads").count(THREAD) == 1
        shop.end()
        assert shop.process.returncode == 0
    assert sorted(each["body"]["id"] for each in sandbox.events()) == sorted(emitted)


def test_a_fork_in_the_middle_of_a_statement_waits_for_a_second_and_goes_on(
    sandbox: SandboxServer,
) -> None:
    with Shop(BASE_URL=sandbox.url) as shop:
        emitted = shop("emit", "PAGE_VIEW")
        sandbox.wait_for(1, PATIENCE)

        def waits() -> bool:
            started = time.monotonic()
            assert shop("leave", "exit") == 0
            return time.monotonic() - started >= 1

        with locked_outbox():
            emitted += shop("emit", "PAGE_VIEW", "5")
            wait_until(waits)
        sandbox.wait_for(6, PATIENCE)
        shop.end()
    assert sorted(each["body"]["id"] for each in sandbox.events()) == sorted(emitted)


def importers(shop: Shop, *packages: str) -> set[str]:
    """The threads that have imported something of these packages."""
    threads = shop("imports")
    return {threads[name] for name in threads if name.split(".")[0] in packages}


# A child forked in the middle of it would have half a module. Some small ones of Django and of
# Python are left to the thread: they are done within the second that a fork waits.
def test_the_thread_imports_neither_the_app_nor_the_http_library(sandbox: SandboxServer) -> None:
    with Shop(BASE_URL=sandbox.url) as shop:
        shop("emit", "PAGE_VIEW")
        shop("emit", "PURCHASE")
        sandbox.wait_for(2, PATIENCE)
        for package in ["django_moloco_rmp", "requests", "urllib3"]:
            assert importers(shop, package) == {"MainThread"}
        shop.end()


def test_the_thread_does_not_import_what_talks_to_a_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nobody listens there: what is imported comes before the first word.
    monkeypatch.setenv("SHOP_BROKER_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("SHOP_QUEUE", "nobody's")
    with Shop(RELAY="celery") as shop:
        shop("emit", "PURCHASE")
        shop("drain")
        assert importers(shop, "django_moloco_rmp", "redis") == {"MainThread"}
        shop.end()


def test_a_process_of_multiprocessing_writes_what_is_buffered_at_its_end(
    sandbox: SandboxServer,
) -> None:
    with Shop(BASE_URL=sandbox.url) as shop:
        shop("emit", "PAGE_VIEW")
        sandbox.wait_for(1, PATIENCE)
        assert shop("multiprocess", "PAGE_VIEW", "20") == 0
        # Wakes the parent's relay, which sends what the child left.
        shop("emit", "PURCHASE")
        sandbox.wait_for(22, PATIENCE)
        assert len({each["body"]["id"] for each in sandbox.events()}) == 22
        assert shop("threads").count(THREAD) == 1
        shop.end()


def test_a_fork_that_python_is_not_told_of_has_a_thread_of_its_own() -> None:
    with Shop(RELAY="command") as shop:
        # As in uWSGI's master, nothing has been reported before.
        assert shop("fork_without_hooks", "PAGE_VIEW", "20") == 0
        assert OutboxEvent.objects.count() == 20
        assert shop("threads") == []
        shop("emit", "PAGE_VIEW", "2")
        assert shop("threads") == [THREAD]
        shop.end()
    assert OutboxEvent.objects.count() == 22


@pytest.mark.skipif(connection.vendor == "sqlite", reason="a file has no sessions to end")
def test_a_parent_whose_session_was_ended_by_its_server_opens_another(
    sandbox: SandboxServer,
) -> None:
    with Shop(BASE_URL=sandbox.url) as shop:
        shop("emit", "PAGE_VIEW")
        sandbox.wait_for(1, PATIENCE)
        wait_until(lambda: len(sessions()) == 1)
        (session,) = sessions()
        end = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL %s"}
        with connection.cursor() as cursor:
            cursor.execute(end[connection.vendor], [session])
        shop("emit", "PAGE_VIEW", "5")
        sandbox.wait_for(6, PATIENCE)
        assert len({each["body"]["id"] for each in sandbox.events()}) == 6


@pytest.mark.skipif(connection.vendor == "sqlite", reason="a file has no sessions to end")
def test_a_child_does_not_keep_up_the_session_of_a_parent_that_was_killed() -> None:
    with Shop(RELAY="command") as shop:
        shop("emit", "PAGE_VIEW")
        wait_until(OutboxEvent.objects.exists)
        assert len(sessions()) == 1
        child = shop("stay")
        try:
            shop.kill()
            # With its session an open transaction would stay, and the locks of that.
            wait_until(lambda: not sessions())
        finally:
            # Fails if the child has not outlived its parent.
            os.kill(child, signal.SIGKILL)
