"""
The cart and the wish list. Both live in the session: they tell what somebody thinks of buying, and
there is no need to write that down next to a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from django.http import HttpRequest

from shop.models import Product, shipping_for

MAX_QUANTITY = 20


@dataclass(frozen=True, slots=True)
class CartLine:
    product: Product
    quantity: int

    @property
    def total(self) -> Decimal:
        return self.product.price * self.quantity


class Cart:
    """Quantities by SKU, in ``session["cart"]``."""

    KEY = "cart"

    def __init__(self, request: HttpRequest) -> None:
        self._session = request.session

    def __iter__(self) -> Iterator[CartLine]:
        return iter(self.lines)

    def __len__(self) -> int:
        """How many units there are."""
        return sum(self._quantities.values())

    def set(self, product: Product, quantity: int) -> None:
        """Have this many of a product; none takes it out."""
        quantities = self._quantities
        if quantity < 1:
            quantities.pop(product.sku, None)
        else:
            quantities[product.sku] = min(quantity, MAX_QUANTITY)
        self._session[self.KEY] = quantities
        self.__dict__.pop("lines", None)

    def add(self, product: Product, quantity: int) -> int:
        """Have so many more of a product; return how many there was room for."""
        before = self._quantities.get(product.sku, 0)
        self.set(product, before + quantity)
        return self._quantities[product.sku] - before

    def clear(self) -> None:
        self._session.pop(self.KEY, None)
        self.__dict__.pop("lines", None)

    @cached_property
    def lines(self) -> list[CartLine]:
        """What is in the cart, in the order in which it was put there."""
        quantities = self._quantities
        products = Product.objects.in_bulk(list(quantities), field_name="sku")
        return [
            CartLine(products[sku], quantity)
            for sku, quantity in quantities.items()
            if sku in products
        ]

    @property
    def subtotal(self) -> Decimal:
        return sum((line.total for line in self.lines), Decimal(0))

    @property
    def shipping(self) -> Decimal:
        return shipping_for(self.subtotal)

    @property
    def total(self) -> Decimal:
        return self.subtotal + self.shipping

    @property
    def _quantities(self) -> dict[str, int]:
        return self._session.get(self.KEY, {})


class Wishlist:
    """SKUs in ``session["wishlist"]``, the latest first."""

    KEY = "wishlist"

    def __init__(self, request: HttpRequest) -> None:
        self._session = request.session

    def __contains__(self, product: Product) -> bool:
        return product.sku in self._skus

    def __iter__(self) -> Iterator[Product]:
        products = Product.objects.in_bulk(self._skus, field_name="sku")
        return (products[sku] for sku in self._skus if sku in products)

    def __len__(self) -> int:
        return len(self._skus)

    def add(self, product: Product) -> bool:
        """Return whether the product is new on the list."""
        if product in self:
            return False
        self._session[self.KEY] = [product.sku, *self._skus]
        return True

    def remove(self, product: Product) -> None:
        self._session[self.KEY] = [sku for sku in self._skus if sku != product.sku]

    @property
    def _skus(self) -> list[str]:
        return self._session.get(self.KEY, [])
