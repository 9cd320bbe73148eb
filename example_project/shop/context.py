"""What the header of every page shows."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from shop.cart import Cart, Wishlist
from shop.models import Category


def header(request: HttpRequest) -> dict[str, Any]:
    return {
        "categories": Category.objects.all(),
        "cart_count": len(Cart(request)),
        "wishlist_count": len(Wishlist(request)),
    }
