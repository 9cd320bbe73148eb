"""The outbox against a model of it: any order of steps, nothing lost, no lease given twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.exceptions import api_error
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Claimed, Lease, Outbox
from django_moloco_rmp.wire import dumps
from tests.outbox.samples import MINUTE, event

State = OutboxEvent.State
DAY = timedelta(days=1)
EVENT_IDS = ["order-a", "order-A", "cart-1", "cart-2", "cart-3", "cart-4"]


@dataclass
class Row:
    payload: str
    keeps_id: bool
    state: int = State.PENDING
    token: str = ""
    due: bool = True
    attempts: int = 0
    failures: int = 0
    old: bool = False


class OutboxMachine(RuleBasedStateMachine):
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        OutboxEvent.objects.all().delete()
        self.outbox = Outbox("default")
        self.rows: dict[str, Row] = {}

    def held(self, lease: Lease) -> list[Claimed]:
        """What a lease still holds: not what has been settled, or claimed by another since."""
        return [
            each
            for each in lease.events
            if each.event_id in self.rows and self.rows[each.event_id].token == lease.token
        ]

    @rule(event_id=st.sampled_from(EVENT_IDS), keeps_id=st.booleans())
    def record(self, event_id: str, keeps_id: bool) -> None:
        new = event(event_id)
        assert self.outbox.record(new, keeps_id=keeps_id) is (event_id not in self.rows)
        self.rows.setdefault(event_id, Row(dumps(new), keeps_id))

    @rule(target=leases, limit=st.integers(1, 4))
    def claim(self, limit: int) -> Lease:
        due = {name for name, row in self.rows.items() if row.due and row.state == State.PENDING}
        lease = self.outbox.claim(limit, MINUTE)
        names = [each.event_id for each in lease.events]
        assert len(names) == min(limit, len(due))
        assert set(names) <= due
        for each in lease.events:
            row = self.rows[each.event_id]
            assert (each.payload, each.keeps_id) == (row.payload, row.keeps_id)
            assert each.failures == row.failures
            row.token, row.due, row.attempts = lease.token, False, row.attempts + 1
        return lease

    @rule(lease=leases, data=st.data())
    def deliver(self, lease: Lease, data: st.DataObject) -> None:
        events = self.some_of(lease, data)
        held = [each for each in self.held(lease) if each in events]
        assert self.outbox.delivered(lease.token, events) == len(held)
        for each in held:
            row = self.rows[each.event_id]
            if row.keeps_id:
                row.state, row.payload, row.token = State.SENT, "", ""
            else:
                del self.rows[each.event_id]

    @rule(lease=leases, data=st.data())
    def release(self, lease: Lease, data: st.DataObject) -> None:
        events = self.some_of(lease, data)
        held = [each for each in self.held(lease) if each in events]
        assert self.outbox.release(lease.token, events) == len(held)
        for each in held:
            row = self.rows[each.event_id]
            row.token, row.due, row.attempts = "", True, row.attempts - 1

    @rule(lease=leases, data=st.data())
    def reschedule(self, lease: Lease, data: st.DataObject) -> None:
        for each in self.some_of(lease, data):
            held = each in self.held(lease)
            error = api_error(503, "busy")
            assert self.outbox.reschedule(lease.token, each, MINUTE, error) == held
            if held:
                row = self.rows[each.event_id]
                row.token, row.due, row.failures = "", False, row.failures + 1

    @rule(lease=leases, data=st.data())
    def reject(self, lease: Lease, data: st.DataObject) -> None:
        for each in self.some_of(lease, data):
            held = each in self.held(lease)
            assert self.outbox.reject(lease.token, each, api_error(400, "no")) == held
            if held:
                row = self.rows[each.event_id]
                row.token, row.state = "", State.REJECTED

    def some_of(self, lease: Lease, data: st.DataObject) -> list[Claimed]:
        return (
            data.draw(st.lists(st.sampled_from(lease.events), unique=True)) if lease.events else []
        )

    @rule(event_id=st.sampled_from(EVENT_IDS))
    def time_passes_until_due(self, event_id: str) -> None:
        """A wait or a lease ends. Whoever held it knows nothing of that."""
        pending = OutboxEvent.objects.filter(event_id=event_id, state=State.PENDING)
        if pending.update(available_at=DatabaseNow()):
            self.rows[event_id].due = True

    @rule(event_ids=st.sets(st.sampled_from(EVENT_IDS)))
    def time_passes_until_old(self, event_ids: Iterable[str]) -> None:
        finished = OutboxEvent.objects.filter(event_id__in=event_ids, finished_at__isnull=False)
        finished.update(finished_at=DatabaseNow() - 2 * DAY)
        for name in event_ids:
            if name in self.rows and self.rows[name].state != State.PENDING:
                self.rows[name].old = True

    @rule()
    def prune(self) -> None:
        old = [name for name, row in self.rows.items() if row.old]
        assert self.outbox.prune(dedupe=DAY, rejected=DAY) == len(old)
        for name in old:
            del self.rows[name]

    @rule(lease=consumes(leases))
    def crash(self, lease: Lease) -> None:
        """Nobody settles this lease any more."""

    @invariant()
    def the_table_is_what_the_model_says(self) -> None:
        columns = ("payload", "keeps_id", "state", "lease_token", "attempts", "failures")
        assert {
            name: tuple(values)
            for name, *values in OutboxEvent.objects.values_list("event_id", *columns)
        } == {
            name: (row.payload, row.keeps_id, row.state, row.token, row.attempts, row.failures)
            for name, row in self.rows.items()
        }


@pytest.mark.django_db
def test_the_outbox_follows_its_model() -> None:
    examples = settings(max_examples=settings.default.max_examples // 3, stateful_step_count=40)
    run_state_machine_as_test(OutboxMachine, settings=examples)
