"""How the shop's own objects become items of events. Registered once, they fit everywhere."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from django_moloco_rmp import EventType, Item, Money, as_item
from django_moloco_rmp.signals import connect
from shop.cart import CartLine
from shop.models import OrderLine, Product
from shop.signals import cart_filled


@as_item.register
def product_item(product: Product) -> Item:
    return Item(product.sku, price=Money(product.price))


@as_item.register
def cart_line_item(line: CartLine) -> Item:
    return Item(line.product.sku, price=Money(line.product.price), quantity=line.quantity)


@as_item.register
def order_line_item(line: OrderLine) -> Item:
    return Item(line.product.sku, price=Money(line.price), quantity=line.quantity)


def _added(sender: Any, line: CartLine, request: HttpRequest, **_: Any) -> dict[str, Any]:
    return {"items": line, "request": request}


def connect_signals() -> None:
    """Report ADD_TO_CART whenever the shop's own signal is sent."""
    connect(cart_filled, EventType.ADD_TO_CART, _added)
