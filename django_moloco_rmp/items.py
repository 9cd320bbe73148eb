"""
What a shopper looked at or bought: :class:`Item`, and :func:`as_item`, which turns a shop's own
objects into items.

A shop registers each of its classes once::

    @as_item.register
    def _(line: CartLine) -> Item:
        return Item(line.sku, price=Money(line.unit_price, "EUR"), quantity=line.quantity)
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from decimal import Decimal
from functools import singledispatch
from typing import Any

from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.money import Money, require_money
from django_moloco_rmp.text import set_texts

#: The API's quantity is an int32.
MAX_QUANTITY = 2**31 - 1

_TEXTS = tuple((name, name, None) for name in ("id", "item_group_id", "seller_id"))
# Sums and products of amounts are exact with this many digits, whatever the calling thread's own
# decimal context rounds or traps.
_EXACT = decimal.Context(prec=400, traps=[decimal.InvalidOperation])


@dataclass(frozen=True, slots=True)
class Item:
    """
    One product of an event. ``id`` or ``item_group_id`` is required; blank counts as absent.

    :param id: the product's id, equal to its id in the catalogue feed
    :param item_group_id: the id that all variants of the product share
    :param price: price of a single unit, the discounted one when on sale
    :param quantity: 1 to 2**31 - 1
    :param seller_id: who sells it, on a marketplace
    :param price_seller: the seller's own price of a single unit
    :raises InvalidEventError: a value breaks its rule

    https://mcm-docs.moloco.com/docs/user-event-data-specifications
    """

    id: str | None = None
    _: KW_ONLY
    item_group_id: str | None = None
    price: Money | None = None
    quantity: int | None = None
    seller_id: str | None = None
    price_seller: Money | None = None

    def __post_init__(self) -> None:
        set_texts(self, _TEXTS)
        if self.id is None and self.item_group_id is None:
            raise InvalidEventError(
                "id", "is missing, and so is item_group_id", "Pass the product's catalogue id."
            )
        require_money("price", self.price)
        require_money("price_seller", self.price_seller)
        _check_quantity(self.quantity)


def _check_quantity(value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidEventError(
            "quantity", f"must be an int, not {type(value).__name__}", "Pass a whole number."
        )
    if not 1 <= value <= MAX_QUANTITY:
        raise InvalidEventError(
            "quantity",
            f"must be between 1 and {MAX_QUANTITY}",
            "Pass the number of units, or leave it out.",
        )


@singledispatch
def as_item(value: object) -> Item:
    """
    Return the Item for one of the shop's objects, by the adapter registered for its class.

    Built in: an Item is itself, a ``str`` is a product id, a mapping holds the arguments of Item
    (prices as Money, as ``{"amount": ..., "currency": ...}``, or as a bare amount in the shop's
    default currency). A lazy proxy such as Django's ``SimpleLazyObject`` counts as what it wraps.

    :raises InvalidEventError: no adapter is registered for the class
    """
    raise _no_adapter("items", value)


_NO_ADAPTER = as_item.dispatch(object)


def _adapter(value: object) -> Callable[[Any], Item] | None:
    # Not type(value), as in singledispatch itself: a lazy proxy has the class of what it wraps.
    adapter = as_item.dispatch(value.__class__)
    return None if adapter is _NO_ADAPTER else adapter


def _no_adapter(field: str, value: object) -> InvalidEventError:
    cls = value.__class__
    return InvalidEventError(
        field,
        f"no adapter for {cls.__module__}.{cls.__qualname__}",
        f"Register one: @as_item.register, on a function that takes a {cls.__name__}"
        " and returns an Item.",
    )


@as_item.register
def _(value: Item) -> Item:
    return value


@as_item.register
def _(value: str) -> Item:
    return Item(value)


@as_item.register(Mapping)
def _(value: Mapping[str, Any]) -> Item:
    known = {field.name for field in fields(Item)}
    unknown = [str(key) for key in value if key not in known]
    if unknown:
        raise InvalidEventError(
            unknown[0], "is no property of an item", f"Use only {', '.join(sorted(known))}."
        )
    arguments = dict(value)
    for name in ("price", "price_seller"):
        if name in arguments:
            arguments[name] = _as_money(name, arguments[name])
    return Item(**arguments)


def _as_money(field: str, value: Any) -> Money | None:
    if value is None or isinstance(value, Money):
        return value
    try:
        if not isinstance(value, Mapping):
            return Money(value)
        if "amount" not in value:
            raise InvalidEventError("amount", "is missing", "Pass amount and currency.")
        return Money(value["amount"], value.get("currency"))
    except InvalidEventError as error:
        raise error.under(field) from None


def as_items(value: Any) -> tuple[Item, ...]:
    """
    Return the items for one object of the shop, or for an iterable of them.

    An object counts as one if its class has an adapter, iterable or not.

    :raises InvalidEventError: an object has no adapter, or cannot become a valid item; the field
        says which, as in ``items[1].quantity``
    """
    if _adapter(value) is not None:
        return (_item_at(0, value),)
    try:
        elements = iter(value)
    except TypeError:
        raise _no_adapter("items", value) from None
    return tuple(_item_at(index, element) for index, element in enumerate(elements))


def _item_at(index: int, value: object) -> Item:
    path = f"items[{index}]"
    adapter = _adapter(value)
    if adapter is None:
        raise _no_adapter(path, value)
    try:
        item: object = adapter(value)
    except InvalidEventError as error:
        raise error.under(path) from None
    if not isinstance(item, Item):
        raise InvalidEventError(
            path,
            f"the adapter for {value.__class__.__qualname__} returned {type(item).__name__}",
            "Return an Item from it.",
        )
    return item


def priced(item: Item, price: Money | None, price_seller: Money | None) -> Item:
    """Return an item with other prices."""
    # Its texts have been looked at; and replace() asks the class for each field.
    other = object.__new__(Item)
    for name in ("id", "item_group_id", "quantity", "seller_id"):
        object.__setattr__(other, name, getattr(item, name))
    object.__setattr__(other, "price", price)
    object.__setattr__(other, "price_seller", price_seller)
    return other


def total(items: Iterable[Item]) -> Money | None:
    """
    Return the sum of price times quantity (1 where there is none), exactly.

    None if there are no items, one has no price, or the currencies differ.

    :raises InvalidEventError: the sum is more than a JSON number carries exactly
    """
    amount = Decimal(0)
    currencies: set[str | None] = set()
    for item in items:
        if item.price is None:
            return None
        currencies.add(item.price.currency)
        line = _EXACT.multiply(item.price.amount, Decimal(item.quantity or 1))
        amount = _EXACT.add(amount, line)
    if len(currencies) != 1:
        return None
    return Money(amount, currencies.pop())
