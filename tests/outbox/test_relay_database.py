"""The relay and its database: no lock while it posts, and no loss when the database fails."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
from django.db import DatabaseError, InterfaceError, connection, connections, transaction
from django.db.backends.signals import connection_created
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp.bell import Bell
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Lease, Outbox
from django_moloco_rmp.relay import Relay, Tally
from django_moloco_rmp.sandbox import SandboxServer
from tests.http_server import Answer, Request
from tests.outbox.clocks import ShiftedClock
from tests.outbox.relays import PATIENCE, WatchedServer, relay_to, running
from tests.outbox.samples import event, record, record_many, without_table
from tests.outbox.workers import connection_number, end_connection
from tests.processes.children import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
IS_SQLITE = connections["default"].vendor == "sqlite"


def event_id(request: Request) -> str:
    return str(json.loads(request.body)["id"])


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


def test_what_could_not_be_written_back_is_written_later_and_not_sent_again(
    failures: queue.SimpleQueue[str],
) -> None:
    recorded = record_many(3)
    breakdown = Breakdown()
    with (
        WatchedServer(breakdown) as server,
        relay_to(server.url, concurrency=1) as relay,
        running(relay),
    ):
        server.wait_for(3)
        failures.get(timeout=PATIENCE)
        breakdown.mend()
        wait_until(lambda: not OutboxEvent.objects.exists())
    assert Counter(event_id(request) for request in server.requests) == Counter(recorded)
    assert relay.tally == Tally(delivered=3)


@contextmanager
def narrow_messages() -> Iterator[None]:
    """Have the tables hold no message that is not Latin, as where a project's database does not."""
    columns = [(model._meta.db_table, "last_error") for model in (OutboxEvent, GateRow)]

    def alter(charset: str) -> None:
        with connection.cursor() as cursor:
            for table, column in columns:
                cursor.execute(
                    f"ALTER TABLE {table} MODIFY {column} varchar(500) CHARACTER SET {charset}"
                    " NOT NULL DEFAULT ''"
                )

    alter("latin1")
    try:
        yield
    finally:
        alter("utf8mb4")


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="others hold any text, as a rule")
@pytest.mark.parametrize("status", [400, 429, 503, 403])
def test_a_message_that_the_database_cannot_hold_is_kept_in_ascii(
    sandbox: SandboxServer, status: int
) -> None:
    record("order-1")
    sandbox.fault({"status": status, "body": {"message": "items[0].title: 注文"}, "count": None})
    with narrow_messages(), relay_to(sandbox.url) as relay:
        relay.run(until_empty=True)
        told = GateRow.objects.values_list("last_status", "last_error").get()
        assert told == (status, "items[0].title: \\u6ce8\\u6587")
        assert not OutboxEvent.objects.exclude(lease_token="").exists()
    assert len(sandbox.calls()) == 1


def test_while_results_cannot_be_written_back_no_more_than_a_batch_is_sent(
    failures: queue.SimpleQueue[str],
) -> None:
    record_many(30)
    breakdown = Breakdown()
    with (
        WatchedServer(breakdown) as server,
        relay_to(server.url, concurrency=1, batch_size=12) as relay,
        running(relay),
    ):
        server.wait_for(12)
        for _ in range(2):
            failures.get(timeout=PATIENCE)
        assert len(server.requests) == 12
        breakdown.mend()
        wait_until(lambda: not OutboxEvent.objects.exists())
    assert len(server.requests) == 30


def test_what_was_never_written_back_is_sent_again_when_the_lease_has_ended(
    failures: queue.SimpleQueue[str],
) -> None:
    recorded = record_many(2)
    breakdown = Breakdown()
    passing = ShiftedClock()
    with (
        WatchedServer(breakdown) as server,
        relay_to(server.url, passing=passing, drain_seconds=0.0) as relay,
    ):
        with running(relay):
            failures.get(timeout=PATIENCE)
        breakdown.mend()
        with relay_to(server.url, passing=passing) as successor:
            assert successor.run(until_empty=True) == Tally()
            passing.advance(120)
            assert successor.run(until_empty=True) == Tally(delivered=2)
    assert Counter(event_id(request) for request in server.requests) == Counter(recorded * 2)


class Numbered(Outbox):
    """Tells by which connection it claims."""

    def __init__(self) -> None:
        super().__init__("default")
        self.numbers: queue.SimpleQueue[int] = queue.SimpleQueue()

    def claim(self, *arguments: Any) -> Lease:
        lease = super().claim(*arguments)
        if lease.events:
            self.numbers.put(connection_number())
        return lease


@pytest.mark.skipif(
    "connections['default'].vendor == 'sqlite'", reason="SQLite has no server to lose"
)
@pytest.mark.parametrize("status", [200, 503], ids=["delivered", "failed"])
def test_a_connection_that_the_server_has_ended_costs_no_second_post(status: int) -> None:
    record("order-1", keeps_id=True)
    outbox = Numbered()

    def kill(request: Request) -> None:
        end_connection(outbox.numbers.get(timeout=PATIENCE))

    with (
        WatchedServer(kill, Answer(status)) as server,
        relay_to(server.url, outbox=outbox) as relay,
    ):
        assert relay.run(until_empty=True) in (Tally(delivered=1), Tally(rescheduled=1))
    assert [event_id(request) for request in server.requests] == ["order-1"]
    row = OutboxEvent.objects.get()
    state = row.State.SENT if status == 200 else row.State.PENDING
    assert (row.state, row.failures, row.lease_token) == (state, int(status == 503), "")


@pytest.mark.skipif(
    "connections['default'].vendor == 'sqlite'", reason="SQLite has no server to lose"
)
@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("start", ["SELECT", "INSERT", "UPDATE"])
def test_a_run_goes_on_whatever_statement_finds_the_connection_ended(start: str) -> None:
    seen = 0

    def run(ended: int) -> None:
        """A relay's whole run, before one of whose statements the server ends its connection."""
        nonlocal seen
        seen = 0
        OutboxEvent.objects.all().delete()
        record("order-1", keeps_id=True)

        def intervene(execute: Any, sql: str, *arguments: Any) -> Any:
            nonlocal seen
            if sql.startswith(start):
                seen += 1
                if seen == ended:
                    end_connection(connection_number(), "other")
            return execute(sql, *arguments)

        with (
            connections["default"].execute_wrapper(intervene),
            SandboxServer() as server,
            relay_to(server.url) as relay,
        ):
            assert relay.run(until_empty=True) == Tally(delivered=1)
            assert [each["body"]["id"] for each in server.events()] == ["order-1"]
        assert OutboxEvent.objects.get().state == OutboxEvent.State.SENT

    run(ended=0)
    assert seen
    for number in range(1, seen + 1):
        run(number)


@pytest.mark.skipif(
    "connections['default'].vendor != 'sqlite'", reason="only SQLite locks as a whole"
)
def test_a_database_that_stays_locked_too_long_costs_no_second_post(
    failures: queue.SimpleQueue[str],
) -> None:
    record("order-1", keeps_id=True)
    writer = connections["default"].copy()

    def lock(request: Request) -> None:
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
            wait_until(lambda: OutboxEvent.objects.get().state == OutboxEvent.State.SENT)
    finally:
        connection_created.disconnect(hasty)
    assert [event_id(request) for request in server.requests] == ["order-1"]


@pytest.mark.parametrize("times", [1, 6], ids=["passing", "lasting"])
def test_a_relay_outlives_what_a_driver_says_of_a_closed_connection(
    sandbox: SandboxServer, failures: queue.SimpleQueue[str], times: int
) -> None:
    class Interrupted(Outbox):
        left = times

        def claim(self, *arguments: Any) -> Lease:
            if self.left:
                self.left -= 1
                raise InterfaceError("connection already closed")
            return super().claim(*arguments)

    record("cart-1")
    with relay_to(sandbox.url, outbox=Interrupted("default")) as relay, running(relay):
        assert sandbox.wait_for(1, PATIENCE)
    # Five tries are made in silence.
    told = [] if failures.empty() else [failures.get()]
    assert told == ["connection already closed"] * (times // 5)


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


class CountingBell(Bell):
    """Tells how often it was rung."""

    def __init__(self) -> None:
        super().__init__()
        self.rings = threading.Semaphore(0)

    def ring(self) -> None:
        self.rings.release()
        super().ring()


def statements(relay: Relay) -> list[str]:
    """What one step of a relay says to the database, transactions aside."""
    with CaptureQueriesContext(connections["default"]) as queries:
        relay.step()
    words = (each["sql"].split()[0] for each in queries)
    return [word for word in words if word not in {"BEGIN", "COMMIT", "START"}]


@pytest.mark.parametrize(
    ("keeps_id", "settlement"),
    [(False, ["DELETE"]), (True, ["UPDATE"])],
    ids=["forgotten", "remembered"],
)
def test_what_a_claim_and_a_settlement_cost(keeps_id: bool, settlement: list[str]) -> None:
    record_many(5, keeps_id=keeps_id)
    Gate("default").look()
    bell = CountingBell()
    relay = Relay(Outbox("default"), lambda body: None, batch_size=6, rest_seconds=3600, bell=bell)
    lock, claim, save = ["UPDATE", "SELECT"], ["SELECT", "UPDATE", "SELECT"], ["UPDATE"]
    assert statements(relay) == ["SELECT", *lock, *claim, *save]
    for _ in range(5):
        assert bell.rings.acquire(timeout=PATIENCE)
    # The first of its hour makes the row of its count.
    count = ["UPDATE", "INSERT", "UPDATE"]
    assert statements(relay) == [*settlement, *count]
    # It has taken all there was, and so rests, whoever wakes it; but not if it is to end.
    relay.wake()
    assert statements(relay) == []
    relay.begin(until_empty=True)
    # Nothing is due; the first time it also prunes, and signs.
    assert statements(relay)[0] == "SELECT"
    relay.wake()
    assert statements(relay) == ["SELECT"]
    relay.close()


def test_a_look_that_got_all_it_wanted_is_followed_by_one_that_does_not_ask_first() -> None:
    record_many(10)
    Gate("default").look()
    bell = CountingBell()
    relay = Relay(Outbox("default"), lambda body: None, batch_size=5, bell=bell)
    look = ["UPDATE", "SELECT", "SELECT", "UPDATE", "SELECT", "UPDATE"]
    assert statements(relay) == ["SELECT", *look]
    for _ in range(5):
        assert bell.rings.acquire(timeout=PATIENCE)
    assert statements(relay) == ["DELETE", "UPDATE", "INSERT", "UPDATE", *look]
    for _ in range(5):
        assert bell.rings.acquire(timeout=PATIENCE)
    # Nor does this one, which finds that there is nothing more; the next one asks first.
    nothing = ["UPDATE", "SELECT", "SELECT", "UPDATE"]
    assert statements(relay)[: 2 + len(nothing)] == ["DELETE", "UPDATE", *nothing]
    relay.wake()
    assert statements(relay) == ["SELECT"]
    relay.close()


def test_after_its_rest_a_relay_looks_without_being_woken() -> None:
    record_many(1)
    bell = CountingBell()
    relay = Relay(Outbox("default"), lambda body: None, rest_seconds=0, bell=bell)
    assert relay.step() is not None
    assert bell.rings.acquire(timeout=PATIENCE)
    assert statements(relay)[:5] == ["DELETE", "UPDATE", "INSERT", "UPDATE", "SELECT"]
    relay.close()


def test_its_connection_is_kept_while_there_is_something_to_do(sandbox: SandboxServer) -> None:
    record_many(30)
    made: list[int] = []

    def on_made(**_: object) -> None:
        made.append(threading.get_ident())

    with relay_to(sandbox.url, batch_size=3) as relay:
        connection_created.connect(on_made)
        try:
            with running(relay, until_empty=True) as thread:
                thread.join(PATIENCE)
        finally:
            connection_created.disconnect(on_made)
        assert relay.tally.delivered == 30
    assert made.count(thread.ident or 0) == 1


@pytest.mark.parametrize(("idle_seconds", "is_kept"), [(0.0, False), (3600.0, True)])
def test_an_idle_relay_keeps_no_connection(
    sandbox: SandboxServer, idle_seconds: float, is_kept: bool
) -> None:
    with relay_to(sandbox.url, idle_seconds=idle_seconds) as relay:
        relay.step()
    assert (connections["default"].connection is not None) is is_kept
