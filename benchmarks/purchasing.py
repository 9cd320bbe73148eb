"""Transactions with an order in them, many, and how long each took: the process of `purchase`."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable
from decimal import Decimal

from django.core.management import call_command
from django.db import connection, transaction

from benchmarks.children import say
from benchmarks.models import Order, PlainRow
from benchmarks.pairs import Times, measure
from benchmarks.visits import Visits
from django_moloco_rmp import Item, Money, track_purchase
from django_moloco_rmp.models import OutboxEvent

_ITEMS = [Item(f"lamp-{number}", price=Money("19.90"), quantity=1) for number in range(3)]
_WARM_UP = 100


def main(rounds: str, calls: str) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    visits = Visits()
    numbers = itertools.count(1)

    def nothing(order: Order) -> None:
        pass

    def event(order: Order) -> None:
        assert track_purchase(_ITEMS, event_id=f"order-{order.number}") is not None

    visits.during(lambda: event(Order(number="sample")))
    sample = OutboxEvent.objects.get()

    def row(order: Order) -> None:
        PlainRow.objects.create(
            event_id=f"order-{order.number}",
            event_type=sample.event_type,
            payload=sample.payload,
            identifier=sample.identifier,
            keeps_id=True,
        )

    def turn(also: Callable[[Order], None], count: int) -> Times:
        times: list[int] = []

        def buy() -> None:
            begun = time.perf_counter_ns()
            with transaction.atomic():
                order = Order.objects.create(
                    number=f"{next(numbers)}-{uuid.uuid4().hex[:8]}", total=Decimal("59.70")
                )
                also(order)
            times.append(time.perf_counter_ns() - begun)

        for _ in range(count):
            visits.during(buy)
        return times

    turns = {"order": nothing, "row": row, "event": event}
    for also in turns.values():
        turn(also, _WARM_UP)

    def round_of(also: Callable[[Order], None]) -> Callable[[], Times]:
        return lambda: turn(also, int(calls))

    found = measure({name: round_of(also) for name, also in turns.items()}, rounds=int(rounds))
    connection.close()
    say(found)
