"""The relay and the vendor's answers: what is sent, and what becomes of it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from django.db import OperationalError
from django.db.models import F
from django.dispatch import Signal

from django_moloco_rmp import signals
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.models import HourlyCount, OutboxEvent
from django_moloco_rmp.outbox import Lease, Outbox
from django_moloco_rmp.protocol import SECOND, Circuit, Reason
from django_moloco_rmp.protocol import State as CircuitState
from django_moloco_rmp.relay import Relay, Tally
from django_moloco_rmp.sandbox import SandboxServer
from tests.contract_schema import problems
from tests.http_server import ScriptedServer
from tests.outbox.clocks import ShiftedClock
from tests.outbox.relays import relay_to
from tests.outbox.samples import (
    DAY,
    event,
    record,
    record_many,
    seconds_until_due,
)

State = OutboxEvent.State
Listen = Callable[[Signal], list[dict[str, Any]]]
pytestmark = pytest.mark.django_db


@pytest.fixture
def passing() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
def relay(sandbox: SandboxServer, passing: ShiftedClock) -> Iterator[Relay]:
    with relay_to(sandbox.url, passing=passing) as relay:
        yield relay


def circuit() -> Circuit:
    return Gate("default").look().circuit


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Collects what a signal says, until the end of the test."""
    connected: list[tuple[Signal, Any]] = []

    def start(signal: Signal) -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = []

        def receiver(sender: Any, signal: Signal, **arguments: Any) -> None:
            heard.append({"sender": sender, **arguments})

        signal.connect(receiver, weak=False)
        connected.append((signal, receiver))
        return heard

    yield start
    for signal, receiver in connected:
        signal.disconnect(receiver)


def test_every_event_is_delivered_once(relay: Relay, sandbox: SandboxServer) -> None:
    recorded = record_many(120)
    assert relay.run(until_empty=True) == Tally(delivered=120)
    received = [call["body"] for call in sandbox.events()]
    assert sorted(body["id"] for body in received) == sorted(recorded)
    assert problems(received[0]) == []
    assert OutboxEvent.objects.count() == 0


def test_what_is_sent_is_what_was_recorded_to_the_byte() -> None:
    outbox = Outbox("default")
    outbox.record(event("ü-🛒", page_id='"timestamp":"9999999999999" \\ ü'), keeps_id=False)
    outbox.record(event(event_type="SEARCH", search_query="100 % Wolle"), keeps_id=True)
    payloads = set(OutboxEvent.objects.values_list("payload", flat=True))
    with ScriptedServer() as server, relay_to(server.url) as relay:
        relay.run(until_empty=True)
    assert {request.body.decode() for request in server.requests} == payloads


@pytest.mark.parametrize("payload", ["no JSON", "[]", '{"device": "a text"}'])
def test_an_odd_body_that_is_accepted_is_delivered_and_counted_like_any_other(payload: str) -> None:
    OutboxEvent.objects.create(event_id="odd", event_type="HOME", payload=payload)
    with ScriptedServer() as server, relay_to(server.url) as relay:
        assert relay.run(until_empty=True) == Tally(delivered=1)
    count = HourlyCount.objects.get()
    assert (count.event_type, count.count, count.with_user_id) == ("HOME", 1, 0)


def test_only_ids_of_the_shop_are_remembered(relay: Relay, sandbox: SandboxServer) -> None:
    record("order-1", keeps_id=True)
    record("cart-1")
    relay.run(until_empty=True)
    assert list(OutboxEvent.objects.values_list("event_id", "payload")) == [("order-1", "")]
    assert relay.run(until_empty=True).delivered == 2


def test_a_delivered_event_is_signalled(relay: Relay, listen: Listen) -> None:
    heard = listen(signals.event_delivered)
    record("order-1", keeps_id=True)
    relay.run(until_empty=True)
    assert heard == [{"sender": "ADD_TO_CART", "event_id": "order-1", "destination": "default"}]


def test_a_broken_receiver_does_not_concern_the_relay(
    relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("the shop's own fault")

    OutboxEvent.objects.create(event_id="bad", event_type="HOME", payload="{}")
    record("cart-1")
    both = (signals.event_delivered, signals.event_rejected)
    for signal in both:
        signal.connect(broken)
    try:
        assert relay.run(until_empty=True) == Tally(delivered=1, rejected=1)
    finally:
        for signal in both:
            signal.disconnect(broken)
    assert caplog.text.count("RuntimeError: the shop's own fault") == 2


@pytest.mark.parametrize("status", [500, 503, 408])
def test_an_event_waits_while_the_server_has_trouble(
    relay: Relay,
    sandbox: SandboxServer,
    passing: ShiftedClock,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    record("cart-1")
    sandbox.fault({"status": status, "body": {"message": "out for lunch"}})
    assert relay.run(until_empty=True) == Tally(rescheduled=1)
    row = OutboxEvent.objects.get()
    assert seconds_until_due(row) == pytest.approx(5, abs=1)
    assert (row.state, row.failures, row.attempts) == (State.PENDING, 1, 1)
    assert (row.last_status, row.last_error) == (status, "out for lunch")
    assert (circuit().state, circuit().reason) == (CircuitState.BACKOFF, Reason.SERVER)
    told, logged = caplog.records
    assert told.getMessage() == ("Circuit backoff, was closed: destination default, reason server")
    assert told.levelno == logged.levelno == logging.WARNING
    assert logged.getMessage().startswith("Event not delivered, next try in 5 s: ")
    assert (logged.event_id, logged.event_type) == ("cart-1", "ADD_TO_CART")  # type: ignore[attr-defined]

    passing.advance(5)
    assert relay.run(until_empty=True).delivered == 1
    assert circuit().state is CircuitState.CLOSED


def test_the_waits_grow_with_each_failure(
    relay: Relay, sandbox: SandboxServer, passing: ShiftedClock
) -> None:
    record("cart-1")
    sandbox.fault({"status": 503, "count": None})
    for number, wait in enumerate((5, 10, 20, 40, 80, 900, 900), start=1):
        relay.run(until_empty=True)
        assert len(sandbox.events()) == number
        # Two seconds short of the wait nobody calls, with a slow machine reckoned in.
        passing.advance(wait - 2)
        relay.run(until_empty=True)
        assert len(sandbox.events()) == number
        passing.advance(2)
    assert OutboxEvent.objects.get().failures == 7
    assert circuit().state is CircuitState.OPEN
    sandbox.clear_faults()
    assert relay.run(until_empty=True).delivered == 1
    assert len({call["body"]["id"] for call in sandbox.events()}) == 1


@pytest.mark.parametrize(("retry_after", "wait"), [("30", 30), ("1", 5), ("soon", 5)])
def test_a_failing_server_may_ask_for_a_longer_wait(
    relay: Relay, sandbox: SandboxServer, retry_after: str, wait: int
) -> None:
    record("cart-1")
    sandbox.fault({"status": 503, "retry_after": retry_after})
    assert relay.run(until_empty=True) == Tally(rescheduled=1)
    assert seconds_until_due(OutboxEvent.objects.get()) == pytest.approx(wait, abs=1)
    held = Gate("default").look()
    assert (held.circuit.blocked_until - held.now) / SECOND == pytest.approx(wait, abs=1)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_event_is_kept_with_the_vendors_message(
    relay: Relay,
    sandbox: SandboxServer,
    listen: Listen,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    heard = listen(signals.event_rejected)
    record("bad", "good")
    payload = OutboxEvent.objects.get(event_id="bad").payload
    sandbox.fault({"status": status, "body": {"message": "items[0].id: unknown"}, "id": "bad"})
    assert relay.run(until_empty=True) == Tally(delivered=1, rejected=1)

    row = OutboxEvent.objects.get()
    assert (row.event_id, row.state, row.payload) == ("bad", State.REJECTED, payload)
    assert (row.last_status, row.last_error) == (status, "items[0].id: unknown")
    assert heard == [
        {
            "sender": "ADD_TO_CART",
            "event_id": "bad",
            "destination": "default",
            "status": status,
            "message": "items[0].id: unknown",
        }
    ]
    (logged,) = caplog.records
    assert logged.levelno == logging.ERROR
    assert "items[0].id: unknown" in logged.getMessage()
    assert logged.event_id == "bad"  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [302, 401, 403, 404, 405, 407])
def test_events_wait_until_a_wrong_setting_is_mended(
    relay: Relay,
    sandbox: SandboxServer,
    passing: ShiftedClock,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    record("cart-1", "cart-2")
    sandbox.fault({"status": status, "id": "cart-1"})
    sandbox.fault({"status": status, "id": "cart-2"})
    tally = relay.run(until_empty=True)
    calls = len(sandbox.events())
    # The other may have been on its way already, or not have begun.
    assert (tally.delivered, tally.rescheduled, tally.released) == (0, calls, 2 - calls)
    for row in OutboxEvent.objects.all():
        assert (row.state, row.failures, row.lease_token) == (State.PENDING, 0, "")
        assert seconds_until_due(row) == pytest.approx(0, abs=1)
    assert set(OutboxEvent.objects.values_list("last_status", flat=True)) <= {status, None}
    assert (circuit().state, circuit().reason) == (CircuitState.OPEN, Reason.CONFIGURATION)
    kept = [each for each in caplog.records if each.getMessage().startswith("Event not delivered")]
    assert [each.levelno for each in kept] == [logging.ERROR] * calls

    passing.advance(898)
    assert relay.run(until_empty=True).delivered == 0
    assert len(sandbox.events()) == calls
    sandbox.clear_faults()
    passing.advance(2)
    assert relay.run(until_empty=True).delivered == 2
    assert circuit().state is CircuitState.CLOSED


def test_a_wrong_key_loses_nothing_and_shows_in_no_log(
    sandbox: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    record("cart-1")
    with SandboxServer(api_key="another") as other, relay_to(other.url) as relay:
        assert relay.run(until_empty=True) == Tally(rescheduled=1)
    assert OutboxEvent.objects.get().last_status == 403
    assert "test-key" not in caplog.text


def test_a_connection_lost_before_the_event_was_accepted(
    relay: Relay, sandbox: SandboxServer, passing: ShiftedClock
) -> None:
    record("cart-1")
    sandbox.fault({"drop": "before"})
    assert relay.run(until_empty=True) == Tally(rescheduled=1)
    row = OutboxEvent.objects.get()
    assert (row.failures, row.last_status) == (1, None)
    assert row.last_error.startswith("ProtocolError")
    passing.advance(5)
    relay.run(until_empty=True)
    assert [call["status"] for call in sandbox.events()] == [0, 200]


def test_an_event_whose_answer_was_lost_is_sent_again_under_the_same_id(
    relay: Relay, sandbox: SandboxServer, passing: ShiftedClock
) -> None:
    record("order-1", keeps_id=True)
    sandbox.fault({"drop": "after"})
    assert relay.run(until_empty=True) == Tally(rescheduled=1)
    passing.advance(5)
    assert relay.run(until_empty=True).delivered == 1
    first, second = sandbox.events()
    assert (first["status"], second["status"]) == (200, 200)
    assert first["body"] == second["body"]
    live = requests.get(f"{sandbox.url}/live", timeout=10).json()
    assert [each["duplicate"] for each in live["events"]] == [False, True]


def test_a_server_that_takes_too_long(sandbox: SandboxServer) -> None:
    record("cart-1")
    sandbox.fault({"delay": 600})
    with relay_to(sandbox.url, timeout=(10.0, 0.1)) as relay:
        assert relay.run(until_empty=True) == Tally(rescheduled=1)
    assert "timed out" in OutboxEvent.objects.get().last_error


def test_a_server_that_is_not_there(sandbox: SandboxServer, passing: ShiftedClock) -> None:
    record("cart-1", "cart-2")
    sandbox.stop()
    with relay_to(sandbox.url, passing=passing) as relay:
        tally = relay.run(until_empty=True)
        assert tally.rescheduled + tally.released == 2
        assert tally.rescheduled >= 1
        assert circuit().failures == 1
        sandbox.start()
        passing.advance(5)
        assert relay.run(until_empty=True).delivered == 2


def test_no_timestamp_ahead_of_the_clock_is_sent_while_the_row_stays_as_it_is(
    sandbox: SandboxServer,
) -> None:
    now = 1_750_000_000_000
    record("ahead", "refused")
    Outbox("default").record(event("behind", timestamp=now - 1), keeps_id=False)
    refused = OutboxEvent.objects.get(event_id="refused")
    sandbox.fault({"status": 400, "id": "refused"})
    with relay_to(sandbox.url, clock=lambda: now) as relay:
        relay.run(until_empty=True)
    sent = {call["body"]["id"]: call["body"]["timestamp"] for call in sandbox.events()}
    assert sent == {"ahead": str(now), "behind": str(now - 1), "refused": str(now)}
    assert OutboxEvent.objects.get().payload == refused.payload
    assert int(json.loads(refused.payload)["timestamp"]) > now


def test_by_default_the_clock_is_the_systems(relay: Relay, sandbox: SandboxServer) -> None:
    record("cart-1")
    year_2096 = 4_000_000_000_000
    OutboxEvent.objects.update(payload=_with_timestamp(year_2096))
    assert relay.run(until_empty=True).delivered == 1
    (call,) = sandbox.events()
    assert int(call["body"]["timestamp"]) < year_2096


def _with_timestamp(timestamp: int) -> str:
    row = OutboxEvent.objects.get()
    return row.payload.replace(json.loads(row.payload)["timestamp"], str(timestamp))


def test_a_fault_of_the_package_itself_neither_loses_nor_stops_anything(
    passing: ShiftedClock, caplog: pytest.LogCaptureFixture
) -> None:
    record_many(3)
    sent: list[str] = []

    def send(body: str) -> None:
        if not sent:
            sent.append(body)
            raise RuntimeError("not foreseen")
        sent.append(body)

    relay = Relay(
        Outbox("default", clock=passing),
        send,
        gate=Gate("default", clock=passing),
        concurrency=1,
        jitter=lambda: 0.0,
    )
    assert relay.run(until_empty=True) == Tally(rescheduled=1, released=2)
    row = OutboxEvent.objects.get(failures=1)
    assert (row.state, row.last_error) == (State.PENDING, "unforeseen RuntimeError")
    assert "not foreseen" in caplog.text
    passing.advance(5)
    assert relay.run(until_empty=True).delivered == 3
    assert len(sent) == 4


def test_a_transaction_of_the_caller_goes_on_after_a_failure_of_the_database(
    sandbox: SandboxServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Interrupted(Outbox):
        is_up = False

        def claim(self, *arguments: Any) -> Lease:
            if not self.is_up:
                self.is_up = True
                raise OperationalError("the server is restarting")
            return super().claim(*arguments)

    record("cart-1")
    with relay_to(sandbox.url, outbox=Interrupted("default")) as relay:
        relay.step()
        assert "the server is restarting" in caplog.text
        assert OutboxEvent.objects.get().attempts == 0
        assert relay.run(until_empty=True).delivered == 1


def test_of_each_five_hundred_delivered_it_is_noted_how_many_share_an_identifier() -> None:
    relay = Relay(Outbox("default"), lambda body: None)

    def noted(count: int, mark: str) -> tuple[int, ...]:
        record_many(count, identifier=mark * 32)
        assert relay.run(until_empty=True)
        names = ("sample_events", "sample_identifiers", "sample_most")
        return GateRow.objects.values_list(*names).get()

    assert noted(300, "a") == (0, 0, 0)
    assert noted(200, "b") == (500, 2, 300)
    assert noted(499, "c") == (500, 2, 300)
    # What was looked at before is forgotten.
    assert noted(1, "c") == (500, 1, 500)


def test_the_rest_is_sent_when_one_event_is_a_trouble(
    relay: Relay, sandbox: SandboxServer, passing: ShiftedClock
) -> None:
    recorded = record_many(30)
    sandbox.fault({"status": 500, "id": recorded[0], "count": None})
    sandbox.fault({"status": 400, "id": recorded[7]})
    sandbox.fault({"drop": "before", "id": recorded[13]})
    # Each trouble costs all of them five seconds, which end with the success of another.
    for _ in range(8):
        relay.run(until_empty=True)
        passing.advance(5)
    assert relay.tally.delivered == 28
    assert relay.tally.rejected == 1
    pending = OutboxEvent.objects.filter(state=State.PENDING)
    assert list(pending.values_list("event_id", flat=True)) == [recorded[0]]


@pytest.mark.parametrize(
    ("count", "batch_size", "limit", "delivered"),
    [(10, 3, 7, 7), (10, 3, 6, 6), (10, 50, 1, 1), (10, 3, 10, 10), (4, 3, 9, 4)],
)
def test_a_relay_ends_after_so_many_events(
    sandbox: SandboxServer, count: int, batch_size: int, limit: int, delivered: int
) -> None:
    record_many(count)
    with relay_to(sandbox.url, batch_size=batch_size) as relay:
        tally = relay.run(until_empty=True, max_events=limit)
    assert tally == Tally(delivered=delivered)
    assert len(sandbox.events()) == delivered
    assert Outbox("default").pending() == count - delivered


def test_events_that_failed_count_as_well(relay: Relay, sandbox: SandboxServer) -> None:
    recorded = record_many(5)
    sandbox.fault({"status": 400, "id": recorded[0]})
    sandbox.fault({"status": 400, "id": recorded[1]})
    assert relay.run(max_events=3) == Tally(delivered=1, rejected=2)


def test_events_handed_back_do_not_count(sandbox: SandboxServer, passing: ShiftedClock) -> None:
    record_many(5)
    sandbox.fault({"status": 503})
    with relay_to(sandbox.url, passing=passing, concurrency=1) as relay:
        assert relay.run(until_empty=True, max_events=3) == Tally(rescheduled=1, released=2)
        passing.advance(5)
        assert relay.run(max_events=5).delivered == 5


def test_an_idle_relay_deletes_what_was_kept_long_enough(sandbox: SandboxServer) -> None:
    for state in (State.SENT, State.REJECTED):
        for days in (1, 3, 5):
            record_many(1, state=state, finished_at=DatabaseNow() - days * DAY)
    with relay_to(sandbox.url, dedupe_days=4, rejected_days=2) as relay:
        relay.run(until_empty=True)
    ages = OutboxEvent.objects.order_by("state", "-finished_at")
    left = ages.annotate(age=DatabaseNow() - F("finished_at")).values_list("state", "age")
    assert [(state, age.days) for state, age in left] == [
        (State.SENT, 1),
        (State.SENT, 3),
        (State.REJECTED, 1),
    ]


def test_an_idle_relay_does_not_look_for_old_events_each_time(relay: Relay) -> None:
    relay.run(until_empty=True)
    record_many(1, state=State.SENT, finished_at=DatabaseNow() - 365 * DAY)
    relay.run(until_empty=True)
    assert OutboxEvent.objects.count() == 1


@pytest.mark.django_db
def test_under_a_lease_of_two_seconds_events_are_sent_too(sandbox: SandboxServer) -> None:
    record("cart-1")
    with relay_to(sandbox.url, lease=2.0, send_seconds=0.5) as relay:
        assert relay.run(max_events=1) == Tally(delivered=1)


@pytest.mark.django_db
def test_after_a_probe_that_succeeds_everything_is_sent(
    relay: Relay, sandbox: SandboxServer
) -> None:
    record_many(30)
    sandbox.fault({"status": 401, "count": 8})
    relay.run(until_empty=True)
    sandbox.clear_faults()
    Gate("default").change(probe_now)
    # Slow enough for a look at the gate while the probe is on its way.
    sandbox.fault({"delay": 0.3})
    with relay_to(sandbox.url) as another:
        assert another.run(until_empty=True) == Tally(delivered=30)


def probe_now(held: Held) -> None:
    held.circuit = held.circuit.probing(held.now)


@pytest.mark.django_db
def test_where_the_clock_is_ahead_of_the_databases_timestamps_follow_that_one(
    sandbox: SandboxServer,
) -> None:
    def ahead() -> int:
        return time.time_ns() // 1_000_000 + 600_000

    record("ahead")
    OutboxEvent.objects.update(payload=_with_timestamp(ahead()))
    with relay_to(sandbox.url, clock=ahead) as relay:
        assert relay.run(until_empty=True) == Tally(delivered=1)
    (call,) = sandbox.events()
    assert abs(int(call["body"]["timestamp"]) - time.time_ns() // 1_000_000) < 60_000
