"""The gate's row: changed by many at once, one after the other, and never in part."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.db.backends.signals import connection_created
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp import models, signals
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.pace import Pace
from django_moloco_rmp.protocol import SECOND, Circuit, Reason
from tests.outbox.clocks import ShiftedClock
from tests.outbox.samples import MINUTE, record, record_many
from tests.outbox.workers import Workers, connection_number, end_connection

Row = models.Gate
NEEDS_SERVER = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no server")


@pytest.fixture
def gate() -> Gate:
    return Gate("default")


def fail(held: Held) -> None:
    held.circuit = held.circuit.failed(held.now, held.circuit.generation, 0.0)


def count_failure(held: Held) -> None:
    """Change something that depends on what was there, by reading it and by an expression."""
    held.circuit = replace(held.circuit, failures=held.circuit.failures + 1)
    held.notes["delivered"] = F("delivered") + 1


@pytest.mark.django_db
def test_a_new_gate_is_open_to_all(gate: Gate) -> None:
    held = gate.look()
    assert (held.circuit, held.pace, held.fingerprint) == (Circuit(), Pace(), "")


@pytest.mark.django_db
def test_a_change_is_there_for_the_next(gate: Gate) -> None:
    def slow_down(held: Held) -> str:
        fail(held)
        held.pace = replace(held.pace, rate=5_000, throttled={"a": (3, 2, 1)})
        held.notes |= {"fingerprint": "of the settings", "dropped": F("dropped") + 7}
        return "result"

    assert gate.change(slow_down) == "result"
    held = Gate("default").look()
    assert held.circuit.failures == 1
    assert held.circuit.reason is Reason.SERVER
    assert (held.pace.rate, held.pace.throttled) == (5_000, {"a": (3, 2, 1)})
    assert held.fingerprint == "of the settings"
    assert Row.objects.get().dropped == 7
    # Another destination is none of its business.
    assert Gate("default", "other").look().circuit == Circuit()


numbers = st.integers(0, 2**60)
circuits = st.builds(
    Circuit,
    paused=st.booleans(),
    reason=st.sampled_from(Reason),
    failures=st.integers(0, 2**31 - 1),
    rejections=st.integers(0, 2**31 - 1),
    **dict.fromkeys(("generation", "blocked_until", "probe_until", "changed_at"), numbers),
)
paces = st.builds(
    Pace,
    rate=st.none() | numbers,
    throttled=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=32),
        st.tuples(numbers, numbers, numbers),
        max_size=5,
    ),
    **{each.name: numbers for each in fields(Pace) if each.name not in {"rate", "throttled"}},
)


@pytest.mark.django_db
def test_any_circuit_and_pace_are_kept_as_they_are(gate: Gate) -> None:
    @given(circuits, paces)
    def keep(circuit: Circuit, pace: Pace) -> None:
        def put(held: Held) -> None:
            held.circuit, held.pace = circuit, pace

        gate.change(put)
        held = gate.look()
        assert (held.circuit, held.pace) == (circuit, pace)

    keep()


def updates(gate: Gate, decide: Callable[[Held], object]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        gate.change(decide)
    return [each["sql"] for each in queries if each["sql"].startswith("UPDATE")]


@pytest.mark.django_db
def test_only_what_was_changed_is_written(gate: Gate) -> None:
    gate.look()
    (lock,) = updates(gate, lambda held: None)
    assert "touched" in lock
    _, write = updates(gate, count_failure)
    assert "failures" in write
    assert "delivered" in write
    for other in ("generation", "pace_", "paused", "reason", "fingerprint"):
        assert other not in write


@pytest.mark.django_db
def test_the_row_is_written_before_it_is_read(gate: Gate) -> None:
    gate.look()
    with CaptureQueriesContext(connection) as queries:
        gate.change(fail)
    words = [each["sql"].split()[0] for each in queries]
    assert [word for word in words if word in {"UPDATE", "SELECT"}] == [
        "UPDATE",
        "SELECT",
        "UPDATE",
    ]


@pytest.mark.django_db(transaction=True)
def test_what_fails_changes_nothing_not_even_the_events(gate: Gate) -> None:
    record("cart-1")
    before = Row.objects.create(name="default")

    def claim_and_fail(held: Held) -> None:
        assert Outbox("default").claim(1, MINUTE).events
        fail(held)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gate.change(claim_and_fail)
    before.refresh_from_db()
    assert (before.touched, before.failures) == (0, 0)
    assert Outbox("default").claim(1, MINUTE).events


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_there", [True, False], ids=["there", "missing"])
def test_whoever_comes_at_the_same_time_counts_as_well(gate: Gate, is_there: bool) -> None:
    if is_there:
        gate.look()
    start = threading.Barrier(4)

    def work() -> None:
        start.wait(10)
        for _ in range(10):
            Gate("default").change(count_failure)

    workers = Workers()
    for _ in range(4):
        workers.start(work)
    workers.join()
    row = Row.objects.get()
    assert (row.failures, row.delivered) == (40, 40)


def test_a_second_one_sees_what_the_first_has_changed(gate: Gate, second: str) -> None:
    gate.look()
    inside = threading.Event()
    seen: list[int] = []

    def look_meanwhile() -> None:
        assert inside.wait(10)
        Gate("default").change(lambda held: seen.append(held.circuit.failures))

    workers = Workers()
    workers.start(look_meanwhile)

    def slow(held: Held) -> None:
        inside.set()
        # Neither a lock nor an old state for who only looks.
        assert Gate(second).look().circuit.failures == 0
        assert seen == []
        fail(held)

    gate.change(slow)
    workers.join()
    assert seen == [1]


@contextmanager
def heard() -> Iterator[list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []

    def receiver(sender: str, signal: object, **content: Any) -> None:
        told.append({"sender": sender, **content})

    signals.circuit_changed.connect(receiver)
    try:
        yield told
    finally:
        signals.circuit_changed.disconnect(receiver)


@pytest.mark.django_db
def test_a_new_state_is_told_and_only_a_new_one(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    def misconfigure(held: Held) -> None:
        held.circuit = held.circuit.misconfigured(held.now, held.circuit.generation, 0.0)

    def succeed(held: Held) -> None:
        held.circuit = held.circuit.succeeded(held.now, held.circuit.generation)

    caplog.set_level("INFO", "django_moloco_rmp")
    with heard() as told:
        for decide in (fail, fail, misconfigure, misconfigure, succeed, succeed):
            gate.change(decide)
    assert told == [
        {"sender": "default", "state": "backoff", "previous": "closed", "reason": "server"},
        {"sender": "default", "state": "open", "previous": "backoff", "reason": "configuration"},
        {"sender": "default", "state": "closed", "previous": "open", "reason": ""},
    ]
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "Circuit backoff, was closed: destination default, reason server"),
        ("WARNING", "Circuit open, was backoff: destination default, reason configuration"),
        ("INFO", "Circuit closed, was open: destination default, no fault"),
    ]


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_is_not_told(gate: Gate) -> None:
    def fail_and_break(held: Held) -> None:
        fail(held)
        held.notes["no such column"] = 1

    with heard() as told, pytest.raises(Exception, match="no such column"):
        gate.change(fail_and_break)
    assert told == []


@pytest.mark.django_db
def test_a_broken_receiver_is_no_concern_of_the_gates(gate: Gate) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("the shop's own fault")

    signals.circuit_changed.connect(broken)
    try:
        gate.change(fail)
    finally:
        signals.circuit_changed.disconnect(broken)
    assert gate.look().circuit.failures == 1


@pytest.mark.django_db
def test_its_time_is_that_of_the_database_or_what_a_test_makes_of_it() -> None:
    clock = ShiftedClock()
    gate, real = Gate("default", clock=clock), Gate("default")
    assert gate.look().now == pytest.approx(real.look().now, abs=5 * SECOND)
    clock.advance(3600)
    ahead = gate.look().now - real.look().now
    assert ahead == pytest.approx(3600 * SECOND, abs=5 * SECOND)
    gate.note(lambda now: {})
    seen = Row.objects.get().relay_seen_at
    assert seen == pytest.approx(gate.look().now, abs=5 * SECOND)


@pytest.mark.django_db
def test_a_note_changes_no_more_than_it_says(gate: Gate) -> None:
    gate.change(fail)
    before = Row.objects.values().get()
    gate.note(lambda now: {"retried": F("retried") + 3})
    after = Row.objects.values().get()
    assert {name for name in after if after[name] != before[name]} == {"retried", "relay_seen_at"}
    assert after["retried"] == 3


class Tries:
    """A decision that counts how often it is asked, and does something the first time."""

    def __init__(self, trouble: Callable[[], object]) -> None:
        self.count = 0
        self._trouble = trouble

    def __call__(self, held: Held) -> None:
        self.count += 1
        count_failure(held)
        if self.count == 1:
            self._trouble()


@NEEDS_SERVER
@pytest.mark.parametrize("lost", ["in between", "before"])
def test_a_lost_connection_is_made_anew(gate: Gate, second: str, lost: str) -> None:
    gate.look()
    before = Row.objects.get().touched
    if lost == "before":
        end_connection(connection_number(), second)
    tries = Tries(
        lambda: end_connection(connection_number(), second) if lost == "in between" else None
    )
    gate.change(tries)
    assert tries.count == (2 if lost == "in between" else 1)
    row = Row.objects.get()
    assert (row.failures, row.delivered, row.touched) == (1, 1, before + 1)


@NEEDS_SERVER
@pytest.mark.django_db(transaction=True)
def test_who_loses_a_deadlock_tries_again(gate: Gate) -> None:
    gate.look()
    record_many(1)
    has_event = threading.Event()
    row = models.OutboxEvent.objects.all()

    def patience(milliseconds: int) -> None:
        # PostgreSQL ends whoever notices first, MariaDB whoever has changed less.
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET deadlock_timeout = {milliseconds}")

    def event_then_gate() -> None:
        patience(20_000)
        with transaction.atomic():
            row.update(last_error="the other has it")
            record_many(50)
            has_event.set()
            Row.objects.update(retried=1)

    workers = Workers()

    def gate_then_event() -> None:
        workers.start(event_then_gate)
        assert has_event.wait(10)
        row.update(last_error="mine")

    connection.close()
    connection.ensure_connection()
    patience(700)
    tries = Tries(gate_then_event)
    try:
        gate.change(tries)
    finally:
        workers.join()
        connection.close()
    assert tries.count == 2
    gate_row = Row.objects.get()
    assert (gate_row.failures, gate_row.delivered, gate_row.retried) == (1, 1, 1)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="others wait, and then go on")
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_what_could_not_be_serialized_is_tried_again(gate: Gate, second: str, level: str) -> None:
    gate.look()
    record_many(1)
    rows = models.OutboxEvent.objects.all()

    def change_what_the_snapshot_shows() -> None:
        rows.using(second).update(last_error="the other's")
        rows.update(last_error="mine")

    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")
    tries = Tries(change_what_the_snapshot_shows)
    try:
        gate.change(tries)
    finally:
        connection.close()
    assert tries.count == 2
    row = Row.objects.get()
    assert (row.failures, row.delivered) == (1, 1)
    assert rows.get().last_error == "the other's"


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite locks as a whole")
@pytest.mark.parametrize("until", [3, 99], ids=["for a moment", "for good"])
def test_a_locked_database_is_tried_again(gate: Gate, second: str, until: int) -> None:
    gate.look()
    tries: list[str] = []

    def watch(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("UPDATE") and "touched" in sql:
            tries.append(sql)
            if len(tries) == until:
                connections[second].rollback()
        return execute(sql, *arguments)

    def hasty(connection: Any, **_: object) -> None:
        connection.cursor().execute("PRAGMA busy_timeout = 0")

    connections[second].cursor().execute("BEGIN IMMEDIATE")
    connection.close()
    connection_created.connect(hasty)
    try:
        with connection.execute_wrapper(watch):
            if until == 3:
                gate.change(count_failure)
            else:
                with pytest.raises(DatabaseError, match="locked"):
                    gate.change(count_failure)
    finally:
        connection_created.disconnect(hasty)
        connections[second].close()
        connection.close()
    assert len(tries) == (3 if until == 3 else 5)
    assert Row.objects.get().failures == (1 if until == 3 else 0)


@pytest.mark.django_db
def test_in_a_transaction_of_the_callers_there_is_one_try(gate: Gate) -> None:
    tries: list[int] = []

    def decide(held: Held) -> None:
        tries.append(held.now)
        raise OperationalError("deadlock detected")

    with pytest.raises(OperationalError):
        gate.change(decide)
    assert len(tries) == 1


@pytest.mark.django_db(transaction=True)
def test_a_look_takes_no_lock(gate: Gate, second: str) -> None:
    gate.look()
    with transaction.atomic(using=second):
        Gate(second).change(fail)
        # On every database it shows what is committed, and waits for nobody.
        assert gate.look().circuit.failures == 0
    assert gate.look().circuit.failures == 1
