"""The public API as a shop's type checker sees it: checked by mypy, never run."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_type

from django_moloco_rmp.events import Event, Item, Money
from django_moloco_rmp.wire import dumps, loads


def money() -> None:
    price = Money(Decimal("19.90"), "EUR")
    assert_type(price.amount, Decimal)
    assert_type(price.currency, str | None)


def items() -> None:
    assert_type(Item("sku-1", price=Money("19.90", "EUR"), quantity=2).quantity, int | None)


def wire(event: Event) -> None:
    assert_type(dumps(event), str)
    assert_type(loads(dumps(event)), Event)
