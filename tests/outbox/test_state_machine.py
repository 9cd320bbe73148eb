"""
Outbox, gate, claims and settlement against a model of them: any order of steps of two relays and a
shop, nothing lost, no lease given twice, and the circuit as the vendor's protocol has it.

The clock stands still until a step moves it, however long the machine takes for the steps.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_moloco_rmp import models
from django_moloco_rmp.claims import Claims
from django_moloco_rmp.exceptions import DeliveryError, NetworkError, api_error
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.senders import Job, Result
from django_moloco_rmp.settlement import Settlement
from tests.outbox.clocks import FrozenClock
from tests.outbox.samples import event

State = models.OutboxEvent.State
EVENT_IDS = ["order-a", "order-A", *(f"cart-{number}" for number in range(8))]
SHOPPERS = ["a" * 32, "b" * 32]
OUTCOME = st.sampled_from(["ok", "500", "400", "429", "timeout", "unsent", "401"])
BATCH, LEASE, SENDING, ASKED, DAY = 3, 120, 10, 100, 86_400


@dataclass
class Reference:
    """The circuit, as the vendor's pages and their reading by the outbox's design have it."""

    paused: bool = False
    failures: int = 0
    rejections: int = 0
    reason: str = ""
    generation: int = 0
    blocked: int = 0
    probing: int = 0

    @property
    def state(self) -> str:
        if self.paused:
            return "paused"
        return "closed" if not self.failures else "backoff" if self.failures < 6 else "open"

    def calls(self, now: int) -> int:
        if self.paused or (self.failures and now < max(self.blocked, self.probing)):
            return 0
        return 1 if self.failures else BATCH

    def trouble(self, now: int, reason: str, opens: bool = False) -> None:
        self.failures = max(self.failures, 5 if opens else 0) + 1
        self.blocked = now + {1: 5, 2: 10, 3: 20, 4: 40, 5: 80}.get(self.failures, 900)
        self.probing, self.reason, self.generation = 0, reason, self.generation + 1

    def success(self, generation: int) -> None:
        if not self.failures:
            self.rejections = 0
        elif generation == self.generation:
            self.__init__(self.paused, generation=generation + 1)  # type: ignore[misc]

    def refusal(self, now: int, generation: int) -> bool:
        """Return whether it is the event's fault."""
        is_news = generation == self.generation
        if self.reason == "rejections":
            if is_news:
                self.trouble(now, "rejections")
            return False
        self.rejections += 1
        if self.rejections >= 20:
            self.trouble(now, "rejections", opens=True)
            return False
        if self.failures and is_news:
            self.blocked, self.probing = min(self.blocked, now), 0
        return True


@dataclass
class Row:
    """What is known of an event."""

    shopper: str
    due: int
    keeps_id: bool
    state: int = State.PENDING
    token: str = ""
    attempts: int = 0
    failures: int = 0
    server_errors: int = 0
    finished: int = 0


@dataclass(frozen=True)
class Flight:
    """What a claim of one of the relays brought, and what has not come back yet."""

    relay: int
    jobs: tuple[Job, ...] = field(repr=False)


class OutboxMachine(RuleBasedStateMachine):
    flights = Bundle("flights")

    def __init__(self) -> None:
        super().__init__()
        models.OutboxEvent.objects.all().delete()
        models.Gate.objects.all().delete()
        # Ahead of the real one, by which events are recorded, for longer than any run takes.
        self.clock = FrozenClock(ahead=60)
        self.now = 0
        self.outbox = Outbox("default", clock=self.clock)
        self.gate = Gate("default", clock=self.clock)
        self.relays = [self.new_relay() for _ in range(2)]
        # Whether a relay has seen that a success is news.
        self.knows = [False, False]
        # Whether a relay got all it wanted, and so goes to the gate without a look at the table.
        self.expects_more = [False, False]
        self.rows: dict[str, Row] = {}
        self.circuit = Reference()
        self.throttled: dict[str, int] = {}
        self.count: Counter[str] = Counter()

    def new_relay(self) -> tuple[Claims, Settlement]:
        settlement = Settlement(self.outbox, self.gate, max_qps=None, jitter=lambda: 0.0)
        claims = Claims(
            self.outbox,
            self.gate,
            settlement,
            lease=LEASE,
            send_seconds=SENDING,
            max_qps=None,
            fingerprint="",
            clock=lambda: 0,
        )
        return claims, settlement

    @initialize(rejections=st.sampled_from([0, 17]), data=st.data())
    def it_has_a_past(self, rejections: int, data: st.DataObject) -> None:
        """Rejections in a row, and an event that is about to be taken for poison."""
        self.gate.look()
        models.Gate.objects.update(rejections=rejections)
        self.circuit.rejections = rejections
        self.emit(EVENT_IDS[:4], data)
        models.OutboxEvent.objects.filter(event_id="order-a").update(server_errors=5)
        self.rows["order-a"].server_errors = 5

    @rule(
        event_ids=st.lists(st.sampled_from(EVENT_IDS), min_size=2, max_size=5, unique=True),
        data=st.data(),
    )
    def emit(self, event_ids: list[str], data: st.DataObject) -> None:
        for event_id in event_ids:
            shopper = data.draw(st.sampled_from(SHOPPERS))
            keeps_id = data.draw(st.booleans())
            new = event(event_id, custom_id=shopper * 2)
            assert self.outbox.record(new, keeps_id=keeps_id) is (event_id not in self.rows)
            if event_id not in self.rows:
                # By the real clock.
                self.rows[event_id] = Row(shopper, 0, keeps_id)
                self.count["offered"] += 1
        with transaction.atomic():
            self.outbox.record(event("rolled back"), keeps_id=True)
            transaction.set_rollback(True)

    @rule(seconds=st.sampled_from([5, 10, 20, 80, LEASE, 900, DAY]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.clock.seconds = self.now

    def due(self) -> list[str]:
        """What is due by the model, in the order in which the table has it."""
        found = models.OutboxEvent.objects.filter(
            state=State.PENDING, available_at__lte=self.clock.now()
        )
        ordered = list(found.order_by("available_at", "id").values_list("event_id", flat=True))
        assert set(ordered) == {
            name
            for name, row in self.rows.items()
            if row.state == State.PENDING and row.due <= self.now
        }
        return ordered

    @rule(target=flights, number=st.integers(0, 1))
    def claim(self, number: int) -> object:
        due = self.due()
        claims, _ = self.relays[number]
        turn = claims.look(BATCH, BATCH)
        if not due and not self.expects_more[number]:
            assert turn.is_idle
            return multiple()
        self.knows[number] = bool(self.circuit.failures or self.circuit.rejections)
        calls = self.circuit.calls(self.now)
        assert turn.is_shut is (calls == 0)
        assert turn.is_idle is (not due and calls > 0)
        taken = []
        for name in due[:calls]:
            row = self.rows[name]
            until = self.throttled.get(row.shopper, 0)
            if until > self.now:
                row.due, row.token = until, ""
                continue
            taken.append(name)
            row.due, row.attempts = self.now + LEASE, row.attempts + 1
        assert sorted(job.event.event_id for job in turn.jobs) == sorted(taken)
        self.expects_more[number] = len(taken) == BATCH
        tokens = {row.token for row in self.rows.values()}
        for job in turn.jobs:
            row = self.rows[job.event.event_id]
            assert (job.event.failures, job.event.server_errors) == (
                row.failures,
                row.server_errors,
            )
            assert job.grant.token not in tokens
            row.token = job.grant.token
            assert job.grant.is_probe is bool(self.circuit.failures)
        if taken and self.circuit.failures:
            self.circuit.probing = self.now + SENDING + 5
        return Flight(number, turn.jobs) if taken else multiple()

    @rule(number=st.integers(0, 1), outcomes=st.lists(OUTCOME, min_size=3, max_size=3))
    def claim_and_come_back(self, number: int, outcomes: list[str]) -> None:
        flight = self.claim(number)
        if isinstance(flight, Flight):
            self.settle(flight, outcomes[: len(flight.jobs)])

    @rule(flight=consumes(flights), data=st.data())
    def come_back(self, flight: Flight, data: st.DataObject) -> None:
        outcomes = [data.draw(OUTCOME) for _ in flight.jobs]
        self.settle(flight, outcomes)

    def settle(self, flight: Flight, outcomes: list[str]) -> None:
        results = [
            Result(job, _error(outcome), was_sent=outcome != "unsent")
            for job, outcome in zip(flight.jobs, outcomes, strict=True)
        ]
        _, settlement = self.relays[flight.relay]
        settlement.settle(results)
        # Successes first, and what was not tried before what was refused.
        ordered = sorted(
            zip(flight.jobs, outcomes, strict=True),
            key=lambda each: {"ok": 0, "unsent": 1}.get(each[1], 2),
        )
        goes_by_gate = self.knows[flight.relay] or set(outcomes) != {"ok"}
        for job, outcome in ordered:
            self.learn(job, outcome, goes_by_gate)
        if goes_by_gate:
            self.knows[flight.relay] = bool(self.circuit.failures or self.circuit.rejections)

    def learn(self, job: Job, outcome: str, goes_by_gate: bool) -> None:
        circuit, generation, now = self.circuit, job.grant.generation, self.now
        is_news = generation == circuit.generation
        row = self.rows.get(job.event.event_id)
        if row is not None and row.token != job.grant.token:
            row = None
        # What is written below is written to a row that nobody has any more, then.
        row = row or Row("", 0, False)
        was_closed = not circuit.failures
        row.token = ""
        if outcome == "ok":
            if goes_by_gate:
                circuit.success(generation)
            self.deliver(job.event.event_id, row)
        elif outcome == "unsent":
            row.attempts, row.due = row.attempts - 1, now
            if job.grant.is_probe and is_news:
                circuit.probing = 0
        elif outcome == "429":
            self.throttled[job.event.identifier] = now + ASKED
            row.attempts, row.due = row.attempts - 1, now + ASKED
            if circuit.failures and is_news:
                circuit.blocked, circuit.probing = now + ASKED, 0
        elif outcome == "400":
            if circuit.refusal(now, generation):
                row.state, row.finished = State.REJECTED, now
            else:
                row.due = now
        elif outcome == "401":
            if is_news:
                circuit.trouble(now, "configuration", opens=True)
            row.due = now
        else:
            if is_news:
                circuit.trouble(now, "server")
            is_to_blame = outcome == "500" and was_closed and is_news
            if is_to_blame and job.event.server_errors == 5:
                row.state, row.finished = State.REJECTED, now
                return
            row.failures += 1
            row.server_errors += is_to_blame
            waits = {1: 5, 2: 10, 3: 20, 4: 40, 5: 80}
            row.due = now + waits.get(job.event.failures + 1, 900)

    def deliver(self, event_id: str, row: Row) -> None:
        if self.rows.get(event_id) is not row:
            return
        self.count["delivered"] += 1
        if row.keeps_id:
            row.state, row.finished = State.SENT, self.now
        else:
            del self.rows[event_id]

    @rule(flight=consumes(flights))
    def crash(self, flight: Flight) -> None:
        """Nobody ever settles what it had; its successor knows nothing."""
        self.relays[flight.relay] = self.new_relay()
        self.knows[flight.relay] = False
        self.expects_more[flight.relay] = False

    @precondition(lambda self: not self.circuit.paused)
    @rule()
    def pause(self) -> None:
        def decide(held: Held) -> None:
            held.circuit = held.circuit.pausing(held.now)

        self.gate.change(decide)
        self.circuit.paused = True

    @precondition(lambda self: self.circuit.paused or self.circuit.failures)
    @rule()
    def resume(self) -> None:
        def decide(held: Held) -> None:
            held.circuit = held.circuit.resuming(held.now)

        self.gate.change(decide)
        self.circuit.paused = False
        self.circuit.blocked, self.circuit.probing = min(self.circuit.blocked, self.now), 0

    @precondition(lambda self: any(row.finished for row in self.rows.values()))
    @rule()
    def resend(self) -> None:
        models.OutboxEvent.objects.filter(state=State.REJECTED).update(
            state=State.PENDING, available_at=self.clock.now(), finished_at=None
        )
        for row in self.rows.values():
            if row.state == State.REJECTED:
                row.state, row.due = State.PENDING, self.now

    @precondition(lambda self: any(row.finished for row in self.rows.values()))
    @rule()
    def prune(self) -> None:
        age = timedelta(seconds=DAY - 5)
        old = [
            name
            for name, row in self.rows.items()
            if row.state != State.PENDING and row.finished < self.now - DAY + 5
        ]
        assert sum(self.outbox.prune(dedupe=age, rejected=age)) == len(old)
        for name in old:
            self.count["pruned"] += self.rows.pop(name).state == State.REJECTED

    @invariant()
    def the_table_is_what_the_model_says(self) -> None:
        columns = ("state", "lease_token", "attempts", "failures", "server_errors")
        table = models.OutboxEvent.objects.values_list("event_id", *columns)
        assert {name: tuple(values) for name, *values in table} == {
            name: (row.state, row.token, row.attempts, row.failures, row.server_errors)
            for name, row in self.rows.items()
        }
        self.due()

    @invariant()
    def nothing_is_lost(self) -> None:
        states = Counter(row.state for row in self.rows.values())
        kept = states[State.PENDING] + states[State.REJECTED]
        assert self.count["offered"] == self.count["delivered"] + kept + self.count["pruned"]

    @invariant()
    def the_gate_is_what_the_protocol_says(self) -> None:
        held = self.gate.look()
        circuit = held.circuit
        assert (circuit.state.value, circuit.reason.value) == (
            self.circuit.state,
            self.circuit.reason,
        )
        names = ("failures", "rejections", "generation", "paused")
        assert {name: getattr(circuit, name) for name in names} == {
            name: getattr(self.circuit, name) for name in names
        }
        assert circuit.permit(held.now, BATCH).calls == self.circuit.calls(self.now)

    def teardown(self) -> None:
        """In the end all that is left arrives."""
        self.resume()
        for _ in range(2 * len(EVENT_IDS) + 2):
            self.time_passes(DAY)
            flight = self.claim(0)
            if isinstance(flight, Flight):
                self.settle(flight, ["ok"] * len(flight.jobs))
        assert not [row for row in self.rows.values() if row.state == State.PENDING]
        self.the_table_is_what_the_model_says()
        self.nothing_is_lost()


def _error(outcome: str) -> DeliveryError | None:
    if outcome in {"ok", "unsent"}:
        return None
    if outcome == "timeout":
        return NetworkError("timed out")
    return api_error(int(outcome), outcome, ASKED if outcome == "429" else None)


@pytest.mark.django_db
def test_outbox_and_gate_follow_their_model() -> None:
    examples = settings(
        max_examples=max(settings.default.max_examples // 3, 1),
        stateful_step_count=50,
        suppress_health_check=[HealthCheck.too_slow],
    )
    run_state_machine_as_test(OutboxMachine, settings=examples)
