"""The background thread of a shop's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db.backends.signals import connection_created

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Entry
from django_moloco_rmp.runners.thread import Background
from django_moloco_rmp.sandbox import SandboxServer
from tests.integration.visits import configured
from tests.outbox.relays import HoldingServer
from tests.outbox.samples import event, make_due, record
from tests.processes.children import PATIENCE, Shop, manage, started, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.slow,
]

THREAD = ["moloco-rmp", True]


def received(sandbox: SandboxServer, count: int) -> list[str]:
    assert sandbox.wait_for(count, PATIENCE)
    return [each["body"]["id"] for each in sandbox.events()]


def test_it_starts_with_the_first_commit_and_sends_at_once(sandbox: SandboxServer) -> None:
    with Shop(BASE_URL=sandbox.url) as shop:
        assert shop("query") == 0
        shop("begin")
        shop("emit", "PURCHASE")
        shop("rollback")
        assert shop("threads") == []
        shop("begin")
        order = shop("emit", "PURCHASE")
        assert shop("threads") == []
        shop("commit")
        assert THREAD in shop("threads")
        assert received(sandbox, 1) == order
        views = shop("emit", "PAGE_VIEW", "3")
        assert sorted(received(sandbox, 4)) == sorted(order + views)
        assert shop("threads").count(THREAD) == 1


def test_a_destination_that_hangs_holds_up_no_other(sandbox: SandboxServer) -> None:
    entry = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}
    with HoldingServer() as down:
        entries = {"fr": {**entry, "BASE_URL": sandbox.url}}
        with Shop(BASE_URL=down.url, DESTINATIONS=entries, CONCURRENCY=2) as shop:
            shop("emit", "PURCHASE", "9")
            down.wait_for(2)
            # In the shop's own transaction, and by way of the buffer.
            sent = shop("emit", "PURCHASE", "2", "default", "fr")
            sent += shop("emit", "HOME", "2", "default", "fr")
            assert sorted(received(sandbox, 4)) == sorted(sent)
            assert shop("threads").count(THREAD) == 1
            assert len(down.requests) == 2
            down.answering.set()
            down.wait_for(7)
    assert len(sandbox.events()) == 4


@pytest.mark.parametrize("runner", ["command", "off"])
def test_where_others_send_there_is_no_thread(sandbox: SandboxServer, runner: str) -> None:
    with Shop(BASE_URL=sandbox.url, RELAY=runner) as shop:
        shop("emit")
        assert shop("threads") == []
    assert sandbox.events() == []


@pytest.mark.parametrize(
    ("first", "settings", "is_loaded"),
    [
        ("", {}, True),
        ("", {"RELAY": "command"}, False),
        ("", {"ENABLED": False}, False),
        ("import django.test.utils as it; it.setup_test_environment(); ", {}, False),
    ],
    ids=["thread", "command", "switched off", "test run"],
)
def test_a_server_that_sends_loads_what_it_takes_before_it_serves(
    first: str, settings: dict[str, Any], is_loaded: bool
) -> None:
    code = "import sys, tests.processes.servers.wsgi; print('requests' in sys.modules)"
    with started("-c", f"import django; django.setup(); {first}{code}", **settings) as process:
        assert process.communicate(timeout=PATIENCE) == (f"{is_loaded}\n", "")


def test_a_server_that_hangs_does_not_hold_up_the_end(sandbox: SandboxServer) -> None:
    sandbox.fault({"delay": 600})
    with Shop(BASE_URL=sandbox.url) as shop:
        (hanging,) = shop("emit")
        received(sandbox, 1)
        started = time.monotonic()
        shop.end()
    assert shop.process.returncode == 0
    # Two seconds to drain, and the interpreter's own end.
    assert time.monotonic() - started < 8
    # It may have been accepted and may not: it is sent again when its lease has run out.
    make_due()
    manage("moloco_relay", "--until-empty", BASE_URL=sandbox.url)
    assert received(sandbox, 2) == [hanging, hanging]


def test_an_end_in_the_middle_of_sending_leaves_nothing_under_a_lease(
    sandbox: SandboxServer,
) -> None:
    with Shop(BASE_URL=sandbox.url) as shop:
        # Connections are there to be closed, and then many events to be sent.
        emitted = shop("emit")
        wait_until(lambda: not OutboxEvent.objects.exists())
        emitted += shop("emit", "ADD_TO_CART", "60")
        shop.end()
    left = OutboxEvent.objects.filter(available_at__lte=DatabaseNow(), lease_token="")
    assert left.count() == OutboxEvent.objects.count()
    manage("moloco_relay", "--until-empty", BASE_URL=sandbox.url)
    assert sorted(received(sandbox, len(emitted))) == sorted(emitted)


def test_what_is_reported_at_the_very_end_is_in_the_database() -> None:
    with Shop(RELAY="command") as shop:
        (early,) = shop("emit", "PAGE_VIEW")
        shop("emit_at_exit", "PAGE_VIEW", "4")
        shop.end()
    assert OutboxEvent.objects.filter(event_id=early).exists()
    assert OutboxEvent.objects.count() == 5


def test_what_is_committed_at_the_very_end_is_in_the_database() -> None:
    # As by a thread of the server that is still at work when Python's exit hooks run.
    with Shop(RELAY="command") as shop:
        shop("begin")
        shop("emit", "PAGE_VIEW", "3")
        shop("drain")
        assert OutboxEvent.objects.count() == 0
        shop("commit")
        assert OutboxEvent.objects.count() == 3
        assert shop.end() == ""


def test_parent_and_child_of_a_fork_both_send(sandbox: SandboxServer) -> None:
    with Shop(BASE_URL=sandbox.url) as shop:
        before = shop("emit")
        received(sandbox, 1)
        assert shop("fork", "emit", "PAGE_VIEW") == 0
        assert shop("fork", "emit", "ADD_TO_CART") == 0
        received(sandbox, 3)
        assert shop("query") == 0
        after = shop("emit")
        events = received(sandbox, 4)
        assert [events[0], events[-1]] == before + after
        assert shop("threads").count(THREAD) == 1


def test_settings_that_give_no_address_are_one_line_in_the_log() -> None:
    with Shop(PLATFORM_ID="?") as shop:
        shop("emit")
        errors = shop.end()
    assert errors.count("\n") == 1
    assert errors.startswith("Events wait in the outbox, as nothing can be sent: MOLOCO_RMP: ")
    assert OutboxEvent.objects.count() == 1


@contextmanager
def running(watch: Callable[..., Any]) -> Iterator[Background]:
    """A background of this process, whose thread has its statements executed by a function."""

    def install(connection: Any, **_: Any) -> None:
        if threading.current_thread().name == THREAD[0]:
            connection.execute_wrappers.append(watch)

    background = Background()
    connection_created.connect(install)
    try:
        yield background
    finally:
        background.stop()
        connection_created.disconnect(install)
        wait_until(lambda: THREAD[0] not in [each.name for each in threading.enumerate()])


def test_a_fork_does_not_wait_for_ever_for_a_database_that_hangs() -> None:
    talking, answering = threading.Event(), threading.Event()

    def hang(execute: Any, *arguments: Any) -> Any:
        talking.set()
        assert answering.wait(PATIENCE)
        return execute(*arguments)

    with running(hang) as background:
        background.put(Entry.of(event("page-1", event_type="HOME")), "default", wakes=False)
        assert talking.wait(PATIENCE)
        background.hush()
        background.go_on()
        answering.set()
        wait_until(lambda: OutboxEvent.objects.filter(event_id="page-1").exists())


def test_a_failure_that_nobody_foresaw_does_not_end_it(
    sandbox: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    record("cart-1")
    failures = iter(["of a tool that watches statements"])

    def watch(execute: Any, *arguments: Any) -> Any:
        for failure in failures:
            raise RuntimeError(failure)
        return execute(*arguments)

    with configured(BASE_URL=sandbox.url), running(watch) as background:
        background.wake("default", "default")
        assert received(sandbox, 1) == ["cart-1"]
    assert "of a tool that watches statements" in caplog.text
    assert "failed in an unforeseen way, and goes on" in caplog.text


def test_it_may_be_stopped_before_it_has_begun() -> None:
    background = Background()
    background.stop()
    background.wake("default", "default")
    assert THREAD not in [[each.name, each.daemon] for each in threading.enumerate()]


def test_a_test_run_has_no_thread() -> None:
    record("one")
    # Relays that other tests ran in this process may have senders left, which are ending.
    assert THREAD[0] not in [each.name for each in threading.enumerate()]
