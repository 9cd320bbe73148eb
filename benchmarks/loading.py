"""Puts one kind of load on a database, as often as it is told to: the process of `server`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from decimal import Decimal

from django.core.management import call_command
from django.db import transaction

from benchmarks import stock
from benchmarks.children import hear, say
from benchmarks.models import Order
from benchmarks.visits import Visits
from django_moloco_rmp import Item, Money, track_purchase
from django_moloco_rmp.fleet import fleet_from_settings
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Entry, Outbox, default_alias

_ITEMS = [Item(f"lamp-{number}", price=Money("19.90"), quantity=1) for number in range(3)]
_BATCH = 500


def main() -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    visits = Visits()
    numbers = itertools.count(1)

    def buy(report: Callable[[str], object]) -> None:
        number = f"order-{next(numbers)}"
        with transaction.atomic():
            Order.objects.create(number=number, total=Decimal("59.70"))
            report(number)

    def orders(count: int) -> None:
        for _ in range(count):
            visits.during(lambda: buy(lambda number: None))

    def purchases(count: int) -> None:
        for _ in range(count):
            visits.during(lambda: buy(lambda number: track_purchase(_ITEMS, event_id=number)))

    def buffered(count: int) -> None:
        row = OutboxEvent.objects.order_by("id")[0]
        entries = [
            Entry(f"view-{next(numbers)}", row.event_type, row.payload, row.identifier)
            for _ in range(count)
        ]
        for start in range(0, count, _BATCH):
            Outbox(default_alias()).record_all(entries[start : start + _BATCH])

    def relayed(count: int) -> None:
        tally = fleet_from_settings(default_alias()).run(until_empty=True)
        assert tally.delivered == count, tally

    loads = {"orders": orders, "purchases": purchases, "buffered": buffered, "relayed": relayed}
    purchases(_BATCH)
    while (word := hear()) is not None:
        load, count = word
        if load == "stock":
            stock.clear()
            stock.fill(count, prefix=f"fill-{next(numbers)}")
            stock.analyse()
        else:
            loads[load](count)
        say(load)
