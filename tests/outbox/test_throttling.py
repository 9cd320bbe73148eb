"""Answers of 429, and a limit that is kept: who waits, and how fast the rest goes on."""

from __future__ import annotations

import queue
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.db import connections

from django_moloco_rmp.claims import Claims
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Lease, Outbox
from django_moloco_rmp.protocol import State as CircuitState
from django_moloco_rmp.relay import Relay, Tally
from django_moloco_rmp.sandbox import SandboxServer
from django_moloco_rmp.settlement import Settlement
from tests.outbox.clocks import ShiftedClock
from tests.outbox.relays import relay_to
from tests.outbox.samples import record_many, seconds_until_due

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def passing() -> ShiftedClock:
    return ShiftedClock()


def seconds_from_now(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def test_a_throttled_shopper_waits_while_others_go_on(
    sandbox: SandboxServer, passing: ShiftedClock
) -> None:
    (first,) = record_many(1, identifier="busy")
    record_many(5, identifier="calm")
    sandbox.fault({"status": 429, "id": first, "retry_after": "30"})
    with relay_to(sandbox.url, passing=passing) as relay:
        assert relay.run(until_empty=True) == Tally(delivered=5, rescheduled=1)
        # Neither a failure of the event nor an attempt, and none of the destination.
        row = OutboxEvent.objects.get()
        assert (row.attempts, row.failures, row.lease_token) == (0, 0, "")
        assert Gate("default").look().circuit.state is CircuitState.CLOSED

        # Others of the same shopper are not even tried.
        record_many(1, identifier="busy")
        record_many(1, identifier="calm")
        assert relay.run(until_empty=True) == Tally(delivered=6, rescheduled=1)
        assert len(sandbox.events()) == 7
        for row in OutboxEvent.objects.all():
            assert seconds_until_due(row) == pytest.approx(30, abs=3)
            assert row.attempts == 0
        passing.advance(30)
        assert relay.run(until_empty=True).delivered == 8


@pytest.mark.parametrize("form", ["seconds", "date", "none", "less than it would be"])
def test_a_throttled_event_waits_as_long_as_it_is_told_to(
    sandbox: SandboxServer, form: str
) -> None:
    record_many(1, identifier="busy")
    retry_after = {
        "seconds": "30",
        "date": seconds_from_now(30),
        "none": None,
        "less than it would be": "0",
    }[form]
    fault = {"status": 429} if retry_after is None else {"status": 429, "retry_after": retry_after}
    sandbox.fault(fault)
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True) == Tally(rescheduled=1)
    wait = 30 if form in {"seconds", "date"} else 1
    assert seconds_until_due(OutboxEvent.objects.get()) == pytest.approx(wait, abs=1.5)


def test_a_wait_is_lengthened_by_jitter_and_never_shortened(sandbox: SandboxServer) -> None:
    record_many(1, identifier="busy")
    sandbox.fault({"status": 429, "retry_after": "5"})
    with relay_to(sandbox.url, jitter=lambda: 1.0) as relay:
        relay.run(until_empty=True)
        until, _, _ = Gate("default").look().pace.throttled["busy"]
        last = OutboxEvent.objects.get().available_at.timestamp() * 1_000_000
    assert until == pytest.approx(last, abs=2_000_000)
    assert until - Gate("default").look().pace.throttled["busy"][2] == 5_500_000


@pytest.mark.parametrize(("shoppers", "rate"), [("ab", None), ("abc", 20_000)])
def test_three_throttled_shoppers_slow_down_the_whole_destination(
    sandbox: SandboxServer, shoppers: str, rate: int | None
) -> None:
    for shopper in shoppers:
        (throttled,) = record_many(1, identifier=shopper)
        sandbox.fault({"status": 429, "id": throttled})
    with relay_to(sandbox.url, max_qps=40) as relay:
        # On a slow machine slots may be missed, which come again.
        assert relay.run(until_empty=True).rescheduled == len(shoppers)
    assert len(sandbox.events()) == len(shoppers)
    assert Gate("default").look().pace.rate == rate


def test_a_throttled_probe_is_tried_again_after_its_wait(
    sandbox: SandboxServer, passing: ShiftedClock
) -> None:
    record_many(1)
    for fault in ({"status": 503}, {"status": 429, "retry_after": "7"}):
        sandbox.fault(fault)
    with relay_to(sandbox.url, passing=passing) as relay:
        relay.run(until_empty=True)
        passing.advance(5)
        relay.run(until_empty=True)
        circuit = Gate("default").look().circuit
        assert (circuit.failures, circuit.state) == (1, CircuitState.BACKOFF)
        passing.advance(5)
        relay.run(until_empty=True)
        assert len(sandbox.events()) == 2
        passing.advance(2)
        assert relay.run(until_empty=True).delivered == 1


class Timed:
    """Posts to nowhere; knows when."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.moments: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._seconds = seconds

    def __call__(self, body: str) -> None:
        self.moments.put(time.monotonic())
        time.sleep(self._seconds)

    def taken(self) -> list[float]:
        return sorted(self.moments.get() for _ in range(self.moments.qsize()))


@pytest.mark.parametrize("limit", [10, 40])
def test_no_second_has_more_calls_than_the_limit(limit: int) -> None:
    record_many(limit + 8)
    timed = Timed()
    relay = Relay(Outbox("default"), timed, max_qps=limit)
    assert relay.run(until_empty=True).delivered == limit + 8
    moments = timed.taken()
    assert len(moments) == limit + 8
    for number in range(8):
        # Less than a second, as this thread may have been held up before it looked at its clock.
        assert moments[number + limit] - moments[number] > 0.95
    # And it is used: these take a second and a little.
    assert moments[-1] - moments[0] < 5


def test_a_slow_server_has_no_more_claimed_than_it_can_take() -> None:
    record_many(6)
    ahead: list[int] = []

    class Slow(Timed):
        def __call__(self, body: str) -> None:
            super().__call__(body)
            leased = OutboxEvent.objects.exclude(lease_token="").count()
            ahead.append(leased - self.moments.qsize())
            connections.close_all()

    relay = Relay(Outbox("default"), Slow(0.1), concurrency=2, max_qps=1000)
    assert relay.run(until_empty=True).delivered == 6
    # Slots for those that wait for a sender would have passed, which others could have used.
    assert max(ahead) <= 1


class Distant(Outbox):
    """A database that takes longer for a claim than a slot lasts."""

    def claim(self, *arguments: Any) -> Lease:
        lease = super().claim(*arguments)
        time.sleep(0.1)
        return lease


def test_slots_that_were_missed_are_handed_back_and_come_again() -> None:
    record_many(3)
    timed = Timed()
    relay = Relay(Distant("default"), timed, concurrency=1, max_qps=100)
    tally = relay.run(until_empty=True)
    # The next slots are for after a claim of that length.
    assert tally.delivered == 3
    assert tally.released >= 1
    assert len(timed.taken()) == 3
    assert OutboxEvent.objects.count() == 0


def test_no_call_is_early_because_the_database_took_long_to_tell_the_time() -> None:
    timed = Timed()

    def hold_up(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("SELECT") and "moloco_rmp_gate" in sql:
            time.sleep(0.3)
        return execute(sql, params, many, context)

    one, two = (Relay(Outbox("default"), timed, max_qps=2) for _ in range(2))
    record_many(2)
    one.step()
    record_many(1)
    with connections["default"].execute_wrapper(hold_up):
        two.run(until_empty=True)
    one.run(until_empty=True)
    first, second, third = timed.taken()
    assert second - first > 0.5
    assert third - second > 0.5


def test_no_call_is_late_because_the_database_once_took_long_to_tell_the_time() -> None:
    def hold_up(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        told = execute(sql, params, many, context)
        if sql.startswith("SELECT") and "moloco_rmp_gate" in sql:
            time.sleep(0.3)
        return told

    outbox, gate = Outbox("default"), Gate("default")
    claims = Claims(
        outbox,
        gate,
        Settlement(outbox, gate, max_qps=2, jitter=lambda: 0.0),
        lease=120,
        send_seconds=13,
        max_qps=2,
        fingerprint="",
        clock=lambda: 0,
    )
    record_many(2)
    (first,) = claims.look(1, 1).jobs
    with connections["default"].execute_wrapper(hold_up):
        (second,) = claims.look(1, 1).jobs
    assert 0.5 < second.not_before - first.not_before < 0.7


def test_a_limit_below_one_call_a_second(passing: ShiftedClock) -> None:
    record_many(2)
    timed = Timed()
    relay = Relay(
        Outbox("default", clock=passing),
        timed,
        gate=Gate("default", clock=passing),
        max_qps=0.05,
    )
    relay.step()
    assert OutboxEvent.objects.filter(lease_token="").count() == 1
    wait = relay.step()
    assert wait is not None
    passing.advance(25)
    relay.run(until_empty=True)
    assert len(timed.taken()) == 2
