"""A destination that fails: what relays do together while it does, and after it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from django_moloco_rmp import signals
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import Gate as Row
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Claimed, Outbox
from django_moloco_rmp.protocol import Circuit, Reason
from django_moloco_rmp.protocol import State as CircuitState
from django_moloco_rmp.relay import Tally
from django_moloco_rmp.sandbox import SandboxServer
from django_moloco_rmp.senders import Grant, Job, Senders
from tests.http_server import Answer, Request
from tests.outbox.clocks import ShiftedClock
from tests.outbox.relays import PATIENCE, HoldingServer, WatchedServer, relay_to, running
from tests.outbox.samples import MINUTE, record_many
from tests.outbox.workers import Workers

State = OutboxEvent.State
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def passing() -> ShiftedClock:
    return ShiftedClock()


def circuit() -> Circuit:
    return Gate("default").look().circuit


def fail(held: Held) -> None:
    held.circuit = held.circuit.failed(held.now, held.circuit.generation, 0.0)


@contextmanager
def states() -> Iterator[list[str]]:
    """The circuit's states, as they are told."""
    told: list[str] = []

    def receiver(state: str, **_: object) -> None:
        told.append(state)

    signals.circuit_changed.connect(receiver)
    try:
        yield told
    finally:
        signals.circuit_changed.disconnect(receiver)


def test_eight_that_fail_at_once_are_one_failure_and_nothing_else_begins(
    passing: ShiftedClock,
) -> None:
    record_many(30)
    all_here = threading.Barrier(8)
    held_by_the_probe: list[int] = []

    def watch(request: Request) -> None:
        number = len(server.requests)
        if number <= 8:
            all_here.wait(PATIENCE)
        elif number == 9:
            held_by_the_probe.append(OutboxEvent.objects.exclude(lease_token="").count())

    with (
        WatchedServer(watch, *[Answer(503) for _ in range(8)]) as server,
        relay_to(server.url, passing=passing, concurrency=8) as relay,
    ):
        assert relay.run(until_empty=True) == Tally(rescheduled=8, released=22)
        assert len(server.requests) == 8
        assert (circuit().failures, circuit().state) == (1, CircuitState.BACKOFF)
        assert list(OutboxEvent.objects.filter(attempts=0).values("failures").distinct()) == [
            {"failures": 0}
        ]
        passing.advance(5)
        assert relay.run(until_empty=True).delivered == 30
    assert held_by_the_probe == [1]
    assert circuit().state is CircuitState.CLOSED


def test_a_poisonous_event_is_set_aside_and_all_others_arrive(
    sandbox: SandboxServer, passing: ShiftedClock
) -> None:
    (poison,) = record_many(1)
    sandbox.fault({"status": 500, "id": poison, "count": None, "body": {"message": "oops"}})
    others: list[str] = []
    with states() as told, relay_to(sandbox.url, passing=passing) as relay:
        for _ in range(7):
            others += record_many(3)
            relay.run(until_empty=True)
            passing.advance(100)
        relay.run(until_empty=True)
    calls = [call["body"]["id"] for call in sandbox.events() if call["status"] == 200]
    assert sorted(calls) == sorted(others)
    assert sum(call["body"]["id"] == poison for call in sandbox.events()) == 6
    row = OutboxEvent.objects.get()
    assert (row.event_id, row.state, row.last_status) == (poison, State.REJECTED, 500)
    assert row.last_error == "poison: 6 server errors while other events were delivered; oops"
    assert told == ["backoff", "closed"] * 6


def test_an_outage_makes_no_event_poison(sandbox: SandboxServer, passing: ShiftedClock) -> None:
    record_many(2)
    sandbox.fault({"status": 500, "count": None})
    with states() as told, relay_to(sandbox.url, passing=passing, concurrency=1) as relay:
        for _ in range(20):
            relay.run(until_empty=True)
            passing.advance(900)
        assert len(sandbox.events()) == 20
        assert set(OutboxEvent.objects.values_list("state", flat=True)) == {State.PENDING}
        assert sum(OutboxEvent.objects.values_list("server_errors", flat=True)) == 1
        sandbox.clear_faults()
        assert relay.run(until_empty=True).delivered == 2
    assert told == ["backoff", "open", "closed"]


def test_twenty_rejections_in_a_row_keep_what_comes_after(
    sandbox: SandboxServer, passing: ShiftedClock
) -> None:
    record_many(30)
    sandbox.fault({"status": 400, "count": None})
    with relay_to(sandbox.url, passing=passing, concurrency=1) as relay:
        relay.run(until_empty=True)
        assert OutboxEvent.objects.filter(state=State.REJECTED).count() == 19
        assert OutboxEvent.objects.filter(state=State.PENDING).count() == 11
        assert (circuit().state, circuit().reason) == (CircuitState.OPEN, Reason.REJECTIONS)
        calls = len(sandbox.events())
        # What had begun goes on, and is kept: one sender may have posted the one after as well.
        assert relay.run(until_empty=True).rejected == 19
        assert len(sandbox.events()) == calls
        sandbox.clear_faults()
        passing.advance(900)
        assert relay.run(until_empty=True).delivered == 11
    assert circuit().state is CircuitState.CLOSED


def test_a_rejected_probe_is_followed_by_another_at_once(
    sandbox: SandboxServer, passing: ShiftedClock
) -> None:
    first, *others = record_many(4)
    Gate("default", clock=passing).change(fail)
    sandbox.fault({"status": 422, "id": first})
    passing.advance(5)
    with relay_to(sandbox.url, passing=passing) as relay:
        assert relay.run(until_empty=True) == Tally(delivered=3, rejected=1)
    probe, *calls = [call["body"]["id"] for call in sandbox.events()]
    assert probe == first
    assert sorted(calls) == sorted(others)


def test_of_many_relays_one_probes(passing: ShiftedClock) -> None:
    record_many(10)
    Gate("default", clock=passing).change(fail)
    passing.advance(5)
    start = threading.Barrier(4)
    with HoldingServer() as server, ExitStack() as stack:
        relays = [stack.enter_context(relay_to(server.url, passing=passing)) for _ in range(4)]

        def look(relay: Any) -> None:
            start.wait(PATIENCE)
            relay.step()

        workers = Workers()
        for relay in relays:
            workers.start(lambda relay=relay: look(relay))
        workers.join()
        server.wait_for(1)
        assert OutboxEvent.objects.exclude(lease_token="").count() == 1
        server.answering.set()
        for relay in relays:
            relay.run(until_empty=True)
        assert sum(relay.tally.delivered for relay in relays) == 10
    assert len(server.requests) == 10


def test_a_prober_that_never_comes_back_blocks_nobody_for_long(passing: ShiftedClock) -> None:
    record_many(3)
    Gate("default", clock=passing).change(fail)
    passing.advance(5)
    with (
        HoldingServer() as server,
        SandboxServer() as sandbox,
        relay_to(server.url, passing=passing) as killed,
        relay_to(sandbox.url, passing=passing, send_seconds=30.0) as other,
    ):
        killed.step()
        server.wait_for(1)
        # As long as a probe may take, and a margin.
        passing.advance(30)
        assert other.run(until_empty=True) == Tally()
        passing.advance(5)
        assert other.run(until_empty=True) == Tally(delivered=2)
        # Its own event waits for the end of the lease.
        passing.advance(85)
        assert other.run(until_empty=True) == Tally(delivered=3)
        server.answering.set()


@pytest.mark.parametrize(("fingerprint", "delivered"), [("another", 2), ("the same", 0)])
def test_a_new_setting_is_tried_at_once_and_an_old_one_is_not(
    sandbox: SandboxServer, fingerprint: str, delivered: int
) -> None:
    record_many(2)

    def misconfigure(held: Held) -> None:
        held.notes["fingerprint"] = "the same"
        held.circuit = held.circuit.misconfigured(held.now, held.circuit.generation, 0.0)

    Gate("default").change(misconfigure)
    for _ in range(2):
        with relay_to(sandbox.url, fingerprint=fingerprint) as relay:
            relay.run(until_empty=True)
    assert len(sandbox.events()) == delivered
    assert Gate("default").look().fingerprint == fingerprint


def test_while_it_is_paused_nothing_is_sent_and_afterwards_all(sandbox: SandboxServer) -> None:
    record_many(3)
    gate = Gate("default")

    def pause(held: Held) -> None:
        held.circuit = held.circuit.pausing(held.now)

    def resume(held: Held) -> None:
        held.circuit = held.circuit.resuming(held.now)

    gate.change(pause)
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True) == Tally()
        gate.change(resume)
        assert relay.run(until_empty=True) == Tally(delivered=3)


def test_a_gate_that_somebody_opens_is_noticed_soon(sandbox: SandboxServer) -> None:
    record_many(2)
    gate = Gate("default")
    gate.change(fail)
    with relay_to(sandbox.url) as relay:
        # The gate's own wait is longer than a relay waits for somebody to open it.
        wait = relay.step()
    assert wait is not None
    assert 1 < wait <= 2


def test_a_wake_up_does_not_make_it_ask_a_gate_that_is_shut(sandbox: SandboxServer) -> None:
    record_many(1)
    Gate("default").change(fail)
    with relay_to(sandbox.url) as relay:
        relay.step()
        before = Row.objects.get().touched
        for _ in range(5):
            relay.wake()
            relay.step()
        assert Row.objects.get().touched == before


def test_what_relays_have_done_is_counted(sandbox: SandboxServer, passing: ShiftedClock) -> None:
    recorded = record_many(5)
    sandbox.fault({"status": 400, "id": recorded[0]})
    sandbox.fault({"status": 503, "id": recorded[4]})
    for _ in range(2):
        with relay_to(sandbox.url, passing=passing, concurrency=1) as relay:
            relay.run(until_empty=True)
        passing.advance(5)
    row = Row.objects.get()
    assert (row.delivered, row.rejected, row.retried) == (4, 1, 1)
    assert (row.last_status, row.last_error) == (503, "scripted fault: 503 Service Unavailable")
    assert row.last_error_at < row.last_success_at
    assert row.relay_seen_at > 0


def test_a_slow_post_holds_up_nobody_else() -> None:
    slow, *_ = record_many(15)

    def watch(request: Request) -> None:
        if slow.encode() in request.body:
            for _ in range(14):
                assert written.acquire(timeout=PATIENCE)

    written = threading.Semaphore(0)

    def on_delivered(**_: object) -> None:
        written.release()

    signals.event_delivered.connect(on_delivered)
    try:
        with (
            WatchedServer(watch) as server,
            relay_to(server.url, concurrency=2, batch_size=5) as relay,
        ):
            assert relay.run(until_empty=True) == Tally(delivered=15)
    finally:
        signals.event_delivered.disconnect(on_delivered)


def test_a_server_that_hangs_holds_up_no_end() -> None:
    record_many(4)
    with (
        HoldingServer() as server,
        relay_to(server.url, concurrency=1, drain_seconds=0.2) as relay,
        running(relay) as thread,
    ):
        server.wait_for(1)
        relay.stop()
        thread.join(10)
        assert not thread.is_alive()
        server.answering.set()
    assert relay.tally == Tally(released=3)
    # What is on its way stays leased: it may arrive.
    assert len(Outbox("default").claim(9, MINUTE).events) == 3


def test_a_probe_that_was_not_made_after_all_is_made_by_another(
    sandbox: SandboxServer, passing: ShiftedClock
) -> None:
    record_many(1)

    def fail_with_slots_taken(held: Held) -> None:
        fail(held)
        held.pace = replace(held.pace, next_slot=held.now + 5_900_000)

    Gate("default", clock=passing).change(fail_with_slots_taken)
    passing.advance(5)
    with relay_to(sandbox.url, passing=passing, max_qps=100) as stopped:
        stopped.step()
        assert circuit().probe_until > 0
        stopped.stop()
        assert stopped.run() == Tally(released=1)
    assert circuit().probe_until == 0
    with relay_to(sandbox.url, passing=passing) as other:
        assert other.run(until_empty=True) == Tally(delivered=1)


def test_senders_that_were_told_to_end_do_so_whatever_else_they_are_told() -> None:
    began, may_end, rings = threading.Event(), threading.Event(), threading.Semaphore(0)

    def send(body: str) -> None:
        began.set()
        assert may_end.wait(PATIENCE)

    before = set(threading.enumerate())
    senders = Senders(send, 1, rings.release)
    grant = Grant("token", 0, 0, float("inf"))
    event = Claimed(1, "cart-1", "ADD_TO_CART", "default", "{}", "", False, 0, 0)
    job = Job(event, grant, 0.0, float("inf"))
    senders.submit([job, job])
    assert began.wait(PATIENCE)
    (thread,) = set(threading.enumerate()) - before
    senders.close()
    senders.halt()
    may_end.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert [each.was_sent for each in senders.take()] == [False, True]
