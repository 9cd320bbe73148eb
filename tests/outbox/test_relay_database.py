"""The relay and its database: no lock while it posts, and no loss when the database fails."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, connection, connections, transaction
from django.db.backends.signals import connection_created

from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Lease, Outbox
from django_moloco_rmp.relay import Tally
from django_moloco_rmp.sandbox import SandboxServer
from tests.http_server import Request
from tests.outbox.relays import PATIENCE, WatchedServer, relay_to, running
from tests.outbox.samples import event, make_due, record, record_many, without_table

pytestmark = pytest.mark.django_db(transaction=True)


def event_id(request: Request) -> str:
    return str(json.loads(request.body)["id"])


def connection_number() -> int:
    """What the server calls this thread's connection."""
    raw = connection.connection
    return int(raw.info.backend_pid if connection.vendor == "postgresql" else raw.thread_id())


@pytest.fixture
def failures() -> Iterator[queue.SimpleQueue[str]]:
    """What the relay logs about its database."""
    messages: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("The relay's database failed"):
                messages.put(str(record.exc_info and record.exc_info[1]))

    handler = Collector()
    logger = logging.getLogger("django_moloco_rmp")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def test_while_a_post_is_on_its_way_nothing_is_locked() -> None:
    record("order-1", keeps_id=True)

    def change_everything(request: Request) -> None:
        with transaction.atomic():
            assert OutboxEvent.objects.update(last_error="seen by the shop") == 1
            Outbox("default").record(event("cart-1"), keeps_id=False)
        with without_table():
            pass

    with WatchedServer(change_everything) as server, relay_to(server.url) as relay:
        assert relay.run(max_events=1) == Tally(delivered=1)
    assert set(OutboxEvent.objects.values_list("event_id", flat=True)) == {"order-1", "cart-1"}


def test_an_event_that_is_recorded_while_others_are_sent_is_sent_as_well() -> None:
    record("cart-1")

    def shop(request: Request) -> None:
        if len(server.requests) < 5:
            record(f"cart-{len(server.requests) + 1}")

    with WatchedServer(shop) as server, relay_to(server.url) as relay:
        assert relay.run(until_empty=True) == Tally(delivered=5)


def test_a_relay_outlives_the_loss_of_its_table(
    sandbox: SandboxServer, failures: queue.SimpleQueue[str]
) -> None:
    record("cart-1")
    with relay_to(sandbox.url) as relay, ExitStack() as away:
        away.enter_context(without_table())
        with running(relay):
            assert "outboxevent" in failures.get(timeout=PATIENCE)
            away.close()
            relay.wake()
            sandbox.wait_for(1, PATIENCE)
    assert relay.tally == Tally(delivered=1)


def test_a_relay_that_works_until_empty_says_when_it_could_not(sandbox: SandboxServer) -> None:
    record("cart-1")
    with relay_to(sandbox.url) as relay, without_table(), pytest.raises(DatabaseError):
        relay.run(until_empty=True)
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True) == Tally(delivered=1)


class Breakdown:
    """Takes the table away during the first post, until it is to be mended."""

    def __init__(self) -> None:
        self._away: ExitStack | None = None

    def __call__(self, request: Request) -> None:
        if self._away is None:
            self._away = ExitStack()
            self._away.enter_context(without_table())

    def mend(self) -> None:
        assert self._away is not None
        self._away.close()


def test_what_could_not_be_written_back_is_sent_again_under_the_same_id(
    failures: queue.SimpleQueue[str],
) -> None:
    recorded = record_many(3)
    breakdown = Breakdown()
    with (
        WatchedServer(breakdown) as server,
        relay_to(server.url, concurrency=1) as relay,
        running(relay),
    ):
        failures.get(timeout=PATIENCE)
        breakdown.mend()
        server.wait_for(3)
        make_due()
        relay.wake()
        server.wait_for(3)
    received = Counter(event_id(request) for request in server.requests)
    assert received == Counter(recorded * 2)
    assert OutboxEvent.objects.count() == 0


def test_after_a_failure_nothing_of_that_batch_is_started_any_more(
    failures: queue.SimpleQueue[str],
) -> None:
    record_many(30)
    breakdown = Breakdown()
    noticed = threading.Event()

    def watch(request: Request) -> None:
        breakdown(request)
        # Ten results are written back at a time.
        if len(server.requests) > 11:
            assert noticed.wait(PATIENCE)

    with (
        WatchedServer(watch) as server,
        relay_to(server.url, concurrency=1, batch_size=30) as relay,
        running(relay),
    ):
        failures.get(timeout=PATIENCE)
        noticed.set()
        relay.stop()
    breakdown.mend()
    assert 10 <= len(server.requests) <= 12
    assert Outbox("default").pending() == 30


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no server to lose")
def test_a_relay_connects_anew_when_the_server_has_ended_its_connection(
    failures: queue.SimpleQueue[str],
) -> None:
    record("order-1", keeps_id=True)
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()

    class Numbered(Outbox):
        def claim(self, *arguments: Any) -> Lease:
            lease = super().claim(*arguments)
            if lease.events:
                numbers.put(connection_number())
            return lease

    def kill(request: Request) -> None:
        if len(server.requests) == 1:
            statement = {
                "postgresql": "SELECT pg_terminate_backend(%s)",
                "mysql": "KILL CONNECTION %s",
            }[connection.vendor]
            with connection.cursor() as cursor:
                cursor.execute(statement, [numbers.get(timeout=PATIENCE)])

    with (
        WatchedServer(kill) as server,
        relay_to(server.url, outbox=Numbered("default")) as relay,
        running(relay),
    ):
        assert failures.get(timeout=PATIENCE)
        make_due()
        relay.wake()
        server.wait_for(2)
    assert [event_id(request) for request in server.requests] == ["order-1", "order-1"]
    assert OutboxEvent.objects.get().state == OutboxEvent.State.SENT


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite locks as a whole")
def test_a_database_that_stays_locked_too_long_loses_nothing(
    failures: queue.SimpleQueue[str],
) -> None:
    record("order-1", keeps_id=True)
    writer = connections["default"].copy()

    def lock(request: Request) -> None:
        if len(server.requests) == 1:
            writer.inc_thread_sharing()
            writer.cursor().execute("BEGIN IMMEDIATE")

    def hasty(connection: Any, **_: object) -> None:
        connection.cursor().execute("PRAGMA busy_timeout = 10")

    connection_created.connect(hasty)
    try:
        with (
            closing(writer),
            WatchedServer(lock) as server,
            relay_to(server.url) as relay,
            running(relay),
        ):
            assert "locked" in failures.get(timeout=PATIENCE)
            writer.cursor().execute("ROLLBACK")
            make_due()
            relay.wake()
            server.wait_for(2)
    finally:
        connection_created.disconnect(hasty)
    assert [event_id(request) for request in server.requests] == ["order-1", "order-1"]


def test_a_relay_outlives_what_a_driver_says_of_a_closed_connection(
    sandbox: SandboxServer, failures: queue.SimpleQueue[str]
) -> None:
    class Interrupted(Outbox):
        first = True

        def claim(self, *arguments: Any) -> Lease:
            if self.first:
                self.first = False
                raise InterfaceError("connection already closed")
            return super().claim(*arguments)

    record("cart-1")
    with relay_to(sandbox.url, outbox=Interrupted("default")) as relay, running(relay):
        assert failures.get(timeout=PATIENCE) == "connection already closed"
        relay.wake()
        sandbox.wait_for(1, PATIENCE)


def test_two_relays_deliver_each_event_once(sandbox: SandboxServer) -> None:
    recorded = record_many(100)
    with (
        relay_to(sandbox.url, batch_size=7, concurrency=3) as one,
        relay_to(sandbox.url, batch_size=5, concurrency=3) as two,
    ):
        with running(one, until_empty=True) as first, running(two, until_empty=True) as second:
            first.join(PATIENCE)
            second.join(PATIENCE)
        assert one.tally.delivered + two.tally.delivered == 100
    received = Counter(call["body"]["id"] for call in sandbox.events())
    assert received == Counter(recorded)
    assert Outbox("default").pending() == 0
