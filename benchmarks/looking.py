"""Looks and claims in a short outbox and a long one: the process of `backlog`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.core.management import call_command
from django.db import connections, transaction
from django.db.models import F

from benchmarks import stock
from benchmarks.children import say
from benchmarks.pairs import Times, measure
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox

_BATCH = 50
_LEASE = timedelta(minutes=10)


def _took(work: Callable[[], Any]) -> tuple[int, Any]:
    begun = time.perf_counter_ns()
    found = work()
    return time.perf_counter_ns() - begun, found


def _claims(using: str, calls: int, settles: bool) -> Times:
    """Return how long claims took, or writing back what they got; nothing is used up."""
    outbox = Outbox(using)
    times = []
    for _ in range(calls):
        with transaction.atomic(using=using):
            took, lease = _took(lambda: outbox.claim(_BATCH, _LEASE))
            assert len(lease.events) == _BATCH
            if settles:
                took, count = _took(partial(outbox.delivered, lease.token, lease.events))
                assert count == _BATCH
            # The next one finds it as it was.
            transaction.set_rollback(True, using=using)
        times.append(took)
    return times


def _looks(using: str, calls: int) -> Times:
    outbox = Outbox(using)
    times = []
    for _ in range(calls):
        took, is_due = _took(outbox.has_due)
        assert not is_due
        times.append(took)
    return times


def main(rounds: str, calls: str, few: str, many: str) -> None:
    sizes = {"default": int(few), "large": int(many)}
    for using, size in sizes.items():
        call_command("migrate", database=using, run_syncdb=True, verbosity=0)
        stock.fill(size, using, payload=stock.SHORT_BODY)
        stock.analyse(using)

    def both(turn: Callable[[str], Times]) -> dict[str, list[Times]]:
        return measure({using: partial(turn, using) for using in sizes}, rounds=int(rounds))

    found = {
        "claim": both(lambda using: _claims(using, int(calls), settles=False)),
        "settle": both(lambda using: _claims(using, int(calls), settles=True)),
    }
    for using in sizes:
        rows = OutboxEvent._base_manager.using(using)
        rows.update(available_at=DatabaseNow() + timedelta(hours=1))
        stock.analyse(using)
    found["idle"] = both(lambda using: _looks(using, int(calls)))
    for using in sizes:
        rows = OutboxEvent._base_manager.using(using)
        rows.update(state=OutboxEvent.State.REJECTED, finished_at=F("created_at"))
        stock.analyse(using)
    found["rejected"] = both(lambda using: _looks(using, int(calls)))
    for using in sizes:
        connections[using].close()
    say(found)
