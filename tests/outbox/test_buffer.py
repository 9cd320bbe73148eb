"""The buffer: browsing events gather in memory, and none is lost on its way to the table."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp import models
from django_moloco_rmp.buffer import BROWSING, Buffer
from django_moloco_rmp.outbox import Entry
from tests.integration.drops import dropped
from tests.outbox.samples import event, without_table
from tests.outbox.workers import Workers

pytestmark = pytest.mark.django_db(transaction=True)
BOTH = pytest.mark.django_db(transaction=True, databases=["default", "other"])
LINGER = 0.15
#: What a step says that was written: the database, and where it goes.
HERE = ("default", "default")


class Time:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def buffer(time: Time) -> Buffer:
    return Buffer(clock=time)


def entry(event_type: str = "HOME") -> Entry:
    return Entry.of(event(event_type=event_type))


def fill(buffer: Buffer, *event_types: str, using: str = "default") -> list[str]:
    """Put an event of each type; return their ids."""
    entries = [entry(each) for each in event_types]
    for each in entries:
        buffer.put(each, using)
    return [each.event_id for each in entries]


def written(using: str = "default") -> list[str]:
    rows = models.OutboxEvent.objects.using(using).order_by("id")
    return list(rows.values_list("event_id", flat=True))


def test_an_event_waits_a_moment_for_others(buffer: Buffer, time: Time) -> None:
    first = fill(buffer, "HOME")
    time.now += 0.1
    second = fill(buffer, "LAND")
    wait, written_to = buffer.step()
    assert (wait, written_to, written()) == (pytest.approx(0.05), set(), [])
    time.now += 0.05
    assert buffer.step() == (5.0, {HERE})
    assert written() == first + second
    assert len(buffer) == 0
    assert buffer.step() == (5.0, set())


def test_what_is_written_is_what_was_put(buffer: Buffer) -> None:
    put = Entry.of(event("order-1", event_type="HOME", user_id="u" * 64), keeps_id=True)
    buffer.put(put, "default")
    buffer.drain()
    columns = ("event_id", "event_type", "payload", "identifier", "keeps_id")
    row = models.OutboxEvent.objects.values_list(*columns, "state", "attempts").get()
    assert row == ("order-1", "HOME", put.payload, "u" * 32, True, 0, 0)


def test_five_hundred_are_written_at_once_and_in_few_statements(buffer: Buffer, time: Time) -> None:
    fill(buffer, *["HOME"] * 499)
    assert buffer.step() == (pytest.approx(LINGER), set())
    fill(buffer, *["HOME"] * 701)
    with CaptureQueriesContext(connection) as queries:
        wait, written_to = buffer.step()
    assert (wait, written_to) == (pytest.approx(LINGER), {HERE})
    assert len(written()) == 1000
    inserts = [each for each in queries if each["sql"].startswith("INSERT")]
    # Django 5.2 passes 999 parameters to SQLite at a time, and so writes 500 rows in four pieces.
    assert len(inserts) <= 2 * 4
    assert len(buffer) == 200


def test_it_rings_for_the_first_and_for_each_five_hundred(time: Time) -> None:
    rings: list[int] = []
    buffer = Buffer(lambda: rings.append(len(buffer)), clock=time)
    fill(buffer, *["HOME"] * 1001)
    assert rings == [1, 500, 1000]
    buffer.drain()
    fill(buffer, "HOME", "HOME")
    assert rings == [1, 500, 1000, 1]


def test_from_a_full_buffer_the_oldest_browsing_events_go_and_are_counted(time: Time) -> None:
    buffer = Buffer(most=3, clock=time)
    with dropped() as drops:
        cart, _, _, page, last = fill(
            buffer, "ADD_TO_CART", "HOME", "LAND", "HOME", "ADD_TO_WISHLIST"
        )
        assert len(buffer) == 3
        assert drops.told == [
            ("HOME", "overflow", "the buffer is full"),
            ("LAND", "overflow", "the buffer is full"),
        ]
        # One line, however many there are.
        assert drops.text.count("The buffer is full") == 1
        buffer.drain()
        assert "Events dropped from the full buffer: 2" in drops.text
        assert models.Gate.objects.get().dropped == 2
        fill(buffer, *["HOME"] * 5)
        buffer.drain()
    assert written()[:3] == [cart, page, last]
    assert models.Gate.objects.get().dropped == 4
    assert drops.text.count("The buffer is full:") == 2


def test_events_that_are_worth_money_are_never_shed(time: Time) -> None:
    buffer = Buffer(most=2, clock=time)
    with dropped() as drops:
        carts = fill(buffer, *["ADD_TO_CART", "ADD_TO_WISHLIST"] * 3)
        assert drops.told == []
        # There is no room, so that the newest is also the oldest that may go.
        fill(buffer, "HOME")
    assert [each[0] for each in drops.told] == ["HOME"]
    buffer.drain()
    assert written() == carts


def test_what_may_be_shed_are_pages_and_searches() -> None:
    assert sorted(BROWSING) == ["HOME", "ITEM_PAGE_VIEW", "LAND", "PAGE_VIEW", "SEARCH"]


def test_what_could_not_be_written_stays_and_is_tried_again(buffer: Buffer, time: Time) -> None:
    with dropped() as drops:
        first = fill(buffer, "HOME", "HOME")
        time.now += LINGER
        waits = []
        with without_table():
            for _ in range(5):
                wait, written_to = buffer.step()
                assert written_to == set()
                # Not earlier, whatever comes in the meantime.
                assert buffer.step() == (wait, set())
                waits.append(wait)
                time.now += wait
            assert buffer.drain() == set()
        assert waits == [0.5, 1.0, 2.0, 4.0, 5.0]
        assert len(buffer) == 2
        later = fill(buffer, "HOME")
        assert drops.told == []
    time.now += 5
    assert buffer.step() == (5.0, {HERE})
    assert written() == first + later
    assert drops.text.count("Buffered events could not be written; they stay in memory") == 6
    # And from the beginning, next time.
    with without_table():
        fill(buffer, "HOME")
        time.now += LINGER
        assert buffer.step()[0] == 0.5


@contextmanager
def refusing_home() -> Iterator[None]:
    """Have the database refuse the rows of one type."""
    table = models.OutboxEvent._meta.db_table
    make = f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK (event_type <> 'HOME')"
    drop = f"ALTER TABLE {table} DROP CONSTRAINT refused"
    if connection.vendor == "sqlite":
        make = (
            f"CREATE TRIGGER refused BEFORE INSERT ON {table} WHEN NEW.event_type = 'HOME'"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        drop = "DROP TRIGGER refused"
    with connection.cursor() as cursor:
        cursor.execute(make)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(drop)


def test_a_row_that_the_database_refuses_blocks_no_others(buffer: Buffer) -> None:
    with refusing_home(), dropped() as drops:
        first, _, second, _ = fill(buffer, "LAND", "HOME", "LAND", "HOME")
        assert buffer.drain() == {HERE}
    assert written() == [first, second]
    assert drops.told == [("HOME", "database", "the database refuses its row")] * 2
    assert len(buffer) == 0


def test_a_row_that_breaks_a_rule_of_the_table_is_told(buffer: Buffer) -> None:
    bad = replace(entry(), payload=None)  # type: ignore[arg-type]
    (first,) = fill(buffer, "HOME")
    buffer.put(bad, "default")
    (second,) = fill(buffer, "HOME")
    with dropped() as drops:
        assert buffer.drain() == {HERE}
    assert written() == [first, second]
    assert drops.told == [("HOME", "database", "the database refuses its row")]


def test_an_event_that_is_known_already_is_no_matter(buffer: Buffer) -> None:
    same = entry()
    buffer.put(same, "default")
    buffer.put(same, "default")
    buffer.drain()
    buffer.put(same, "default")
    assert buffer.drain() == {HERE}
    assert written() == [same.event_id]


def test_it_closes_only_when_nothing_is_in_it(buffer: Buffer) -> None:
    first = fill(buffer, "HOME")
    assert not buffer.close()
    first += fill(buffer, "HOME")
    buffer.drain()
    assert buffer.close()
    # Nobody comes by any more to write it.
    last = fill(buffer, "HOME")
    assert written() == first + last


def test_once_it_has_been_abandoned_an_event_is_written_or_told(buffer: Buffer) -> None:
    fill(buffer, "LAND")
    with dropped() as drops:
        buffer.abandon()
        (last,) = fill(buffer, "HOME")
        with without_table():
            fill(buffer, "LAND")
    assert written() == [last]
    reason = "the process ended before it was written"
    assert drops.told == [("LAND", "exit", reason)] * 2


@BOTH
def test_each_database_gets_its_own(buffer: Buffer, time: Time) -> None:
    here = fill(buffer, "HOME", "HOME")
    there = fill(buffer, "HOME", using="other")
    here += fill(buffer, "HOME")
    time.now += LINGER
    assert buffer.step() == (5.0, {("default", "default"), ("other", "default")})
    assert (written(), written("other")) == (here, there)


@BOTH
def test_what_was_shed_is_counted_where_it_would_have_gone(time: Time) -> None:
    buffer = Buffer(most=1, clock=time)
    fill(buffer, "HOME", using="other")
    fill(buffer, "HOME", "HOME")
    buffer.drain()
    assert models.Gate.objects.get().dropped == 1
    assert not models.Gate.objects.using("other").exists()
    fill(buffer, "HOME", using="other")
    buffer.drain()
    assert models.Gate.objects.using("other").get().dropped == 1


@contextmanager
def at_each(start: str, action: Any) -> Iterator[None]:
    """Do something just before each statement of a kind."""

    def intervene(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(start) and "outboxevent" in sql:
            action()
        return execute(sql, *arguments)

    with connection.execute_wrapper(intervene):
        yield


def test_what_is_put_while_others_are_written_is_written_next(buffer: Buffer, time: Time) -> None:
    later: list[str] = []
    first = fill(buffer, "HOME")
    time.now += LINGER
    with at_each("INSERT", lambda: later.extend(fill(buffer, "HOME"))):
        wait, _ = buffer.step()
    assert wait == pytest.approx(LINGER)
    assert written() == first
    buffer.drain()
    assert written() == first + later


def test_what_is_being_written_is_not_shed_as_well(time: Time) -> None:
    buffer = Buffer(most=2, clock=time)
    first = fill(buffer, "HOME", "LAND")
    with dropped() as drops, at_each("INSERT", lambda: fill(buffer, "HOME", "HOME", "HOME")):
        time.now += LINGER
        buffer.step()
    assert written() == first
    assert [each[0] for each in drops.told] == ["HOME"]


def test_a_failure_that_nobody_foresaw_loses_nothing(buffer: Buffer, time: Time) -> None:
    def break_down() -> None:
        raise RuntimeError("of a tool that watches statements")

    first = fill(buffer, "HOME", "LAND")
    time.now += LINGER
    with dropped() as drops:
        with at_each("INSERT", break_down):
            assert buffer.step() == (0.5, set())
        later = fill(buffer, "HOME")
        assert buffer.drain() == {HERE}
    assert written() == first + later
    assert drops.told == []
    assert "of a tool that watches statements" in drops.text


def test_what_was_written_is_not_written_again_when_counting_failed(time: Time) -> None:
    buffer = Buffer(most=1, clock=time)
    fill(buffer, "HOME")
    kept = fill(buffer, "LAND")
    table = models.Gate._meta.db_table
    with connection.schema_editor() as editor:
        editor.alter_db_table(models.Gate, table, "moloco_rmp_gate_away")
    try:
        with dropped() as drops:
            assert buffer.drain() == {HERE}
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(models.Gate, "moloco_rmp_gate_away", table)
    assert "Dropped events could not be counted yet" in drops.text
    assert (written(), len(buffer)) == (kept, 0)
    models.OutboxEvent.objects.all().delete()
    # With the next batch then.
    fill(buffer, "HOME")
    buffer.drain()
    assert len(written()) == 1
    assert models.Gate.objects.get().dropped == 1


def test_many_threads_put_and_one_writes() -> None:
    buffer = Buffer()
    put: list[str] = []
    done = threading.Event()
    workers, writer = Workers(), Workers()

    def write() -> None:
        while not done.is_set():
            buffer.step()
        buffer.drain()

    writer.start(write)
    for _ in range(4):
        workers.start(lambda: put.extend(fill(buffer, *["HOME"] * 200)))
    workers.join()
    done.set()
    writer.join()
    assert sorted(written()) == sorted(put)
    assert len(put) == 800
    connections.close_all()
