"""The pages of the shop that is measured."""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path

from benchmarks.models import Product

HAS_APP = apps.is_installed("django_moloco_rmp")
PRODUCT = {"sku": "lamp-red", "price": "19.90", "title": "A red lamp"}


def product(request: HttpRequest, slug: str) -> HttpResponse:
    """A product's page; reports the view where the app is installed."""
    if HAS_APP:
        from django_moloco_rmp import Item, Money, track_item_page_view  # noqa: PLC0415

        track_item_page_view(Item(PRODUCT["sku"], price=Money(PRODUCT["price"]), quantity=1))
    return HttpResponse(f"<h1>{PRODUCT['title']}</h1>" * 50)


def offer(request: HttpRequest, slug: str) -> HttpResponse:
    """A page as shops have them: it asks the database, knows the shopper, and has a template."""
    found = get_object_or_404(Product, slug=slug)
    if HAS_APP:
        from django_moloco_rmp import Item, Money, track_item_page_view  # noqa: PLC0415

        track_item_page_view(Item(found.slug, price=Money(found.price), quantity=1))
    others = Product.objects.filter(kind=found.kind).order_by("price")[:24]
    return render(request, "offer.html", {"product": found, "others": others})


def category(request: HttpRequest, slug: str) -> HttpResponse:
    """Where the shopper comes from."""
    return HttpResponse("<h1>Lamps</h1>")


if HAS_APP:
    from django_moloco_rmp.decorators import page

    product = page("PRODUCT:{slug}")(product)
    offer = page("PRODUCT:{slug}")(offer)
    category = page("CATEGORY:{slug}")(category)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("offer/<slug:slug>/", offer, name="offer"),
    path("product/<slug:slug>/", product, name="product"),
    path("category/<slug:slug>/", category, name="category"),
]
