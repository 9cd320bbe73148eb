"""The pages of the shop that is measured."""

from __future__ import annotations

from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.urls import path

HAS_APP = apps.is_installed("django_moloco_rmp")
PRODUCT = {"sku": "lamp-red", "price": "19.90", "title": "A red lamp"}


def product(request: HttpRequest, slug: str) -> HttpResponse:
    """A product's page; reports the view where the app is installed."""
    if HAS_APP:
        from django_moloco_rmp import Item, Money, track_item_page_view  # noqa: PLC0415

        track_item_page_view(Item(PRODUCT["sku"], price=Money(PRODUCT["price"]), quantity=1))
    return HttpResponse(f"<h1>{PRODUCT['title']}</h1>" * 50)


def category(request: HttpRequest, slug: str) -> HttpResponse:
    """Where the shopper comes from."""
    return HttpResponse("<h1>Lamps</h1>")


if HAS_APP:
    from django_moloco_rmp.decorators import page

    product = page("PRODUCT:{slug}")(product)
    category = page("CATEGORY:{slug}")(category)

urlpatterns = [
    path("product/<slug:slug>/", product, name="product"),
    path("category/<slug:slug>/", category, name="category"),
]
