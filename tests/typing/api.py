"""The public names as a shop uses them, checked by mypy and never run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, assert_type

from django.core.asgi import get_asgi_application
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.views import View

from django_moloco_rmp import (
    APIError,
    Device,
    Event,
    EventType,
    InvalidEventError,
    Item,
    MolocoError,
    Money,
    as_item,
    atrack,
    track,
    track_add_to_cart,
    track_home,
    track_land,
    track_page_view,
    track_purchase,
    track_search,
)
from django_moloco_rmp.asgi import with_drain
from django_moloco_rmp.client import EventClient
from django_moloco_rmp.conf import Settings, from_env, get_settings
from django_moloco_rmp.decorators import (
    home,
    item_page_view,
    land,
    page,
    page_view,
    search,
    track_view,
)
from django_moloco_rmp.shopper import Shopper
from django_moloco_rmp.signals import added_to_cart, connect
from django_moloco_rmp.testing import (
    CapturedEvents,
    Dropped,
    SandboxServer,
    Tally,
    assert_event,
    capture_events,
    drain,
)
from django_moloco_rmp.wire import dumps, loads


@dataclass
class Product:
    sku: str
    price: Decimal


@as_item.register
def _(product: Product) -> Item:
    return Item(product.sku, price=Money(product.price, "EUR"), quantity=1)


def values(event: Event) -> None:
    price = Money("19.90", "EUR")
    assert_type(price.amount, Decimal)
    assert_type(price.currency, str | None)
    assert_type(Item("sku-1", price=price).quantity, int | None)
    assert_type(event.event_type, EventType)
    assert_type(event.device, Device)
    assert_type(event.items, tuple[Item, ...])
    assert_type(loads(dumps(event)), Event)


def emit(request: HttpRequest, product: Product, when: datetime) -> None:
    assert_type(track(EventType.HOME), str | None)
    assert_type(track("ADD_TO_CART", [product], request=request, using="default"), str | None)
    assert_type(track_home(), str | None)
    assert_type(track_page_view("CATEGORY:shoes", timestamp=when), str | None)
    assert_type(track_search("shoes", [product]), str | None)
    assert_type(track_add_to_cart(product), str | None)
    assert_type(
        track_purchase([product], Decimal("19.90"), event_id="order-1", shopper={"user_id": "x"}),
        str | None,
    )


async def emit_in_a_coroutine(product: Product) -> None:
    assert_type(await atrack(EventType.ADD_TO_WISHLIST, product), str | None)


@home
def index(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@home("HOME")
async def async_index(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@land
@page_view("CATEGORY:{slug}")
def category(request: HttpRequest, slug: str, sort: str = "") -> TemplateResponse:
    return TemplateResponse(request, "category.html")


@page_view
def about(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@search("SEARCH", query="term")
def find(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@search(query=lambda request, response, **kwargs: request.GET["term"])
async def async_find(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@item_page_view("PRODUCT:{slug}", item="product")
def detail(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse()


def product_of(request: HttpRequest, response: HttpResponse, *, slug: str) -> Product:
    return Product(slug, Decimal(1))


@item_page_view(item=product_of)
async def async_detail(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse()


@track_view("ADD_TO_WISHLIST", "WISHLIST", items="products")
@track_view(EventType.SEARCH, search_query="q")
def wish(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@method_decorator(land("HOME"), name="dispatch")
class Landing(View):
    pass


@page("CHECKOUT")
async def checkout(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


async def views(request: HttpRequest) -> None:
    """A decorated view has the type it had."""
    assert_type(index(request), HttpResponse)
    assert_type(await async_index(request), HttpResponse)
    assert_type(category(request, "shoes", sort="price"), TemplateResponse)
    assert_type(about(request), HttpResponse)
    assert_type(find(request), HttpResponse)
    assert_type(await async_find(request), HttpResponse)
    assert_type(detail(request, slug="lamp"), HttpResponse)
    assert_type(await async_detail(request, "lamp"), HttpResponse)
    assert_type(wish(request), HttpResponse)
    assert_type(await checkout(request), HttpResponse)
    assert_type(Landing(), Landing)


def shopper(moloco: Shopper) -> None:
    assert_type(moloco.identifiers(), dict[str, str])
    assert_type(moloco.freeze(), dict[str, str])
    assert_type(track_land(shopper=moloco.freeze()), str | None)
    assert_type(track_home(shopper=moloco), str | None)


async def shopper_in_a_coroutine(moloco: Shopper) -> None:
    assert_type(await moloco.aidentifiers(), dict[str, str])
    assert_type(await moloco.afreeze(), dict[str, str])


def configuration() -> None:
    assert_type(from_env(), dict[str, Any])
    assert_type(from_env("SHOP_MOLOCO_"), dict[str, Any])
    assert_type(get_settings(), Settings)
    assert_type(get_settings().timeout, tuple[float, float])


def line_added(sender: object, line: Product, **_: Any) -> dict[str, Any] | None:
    return {"items": line}


def signals(paid: Signal, product: Product, request: HttpRequest) -> None:
    added_to_cart.send(sender=Product, items=[product], request=request)
    connect(paid, EventType.PURCHASE, line_added)


def deliver(event: Event) -> None:
    with SandboxServer() as sandbox, capture_events() as events:
        assert_type(events, CapturedEvents)
        assert_type(events[0], Event)
        assert_type(events.dropped, list[Dropped])
        client = EventClient("SHOP_TEST", "test-key", base_url=sandbox.url)
        try:
            client.insert_event(event)
        except APIError as error:
            assert_type(error.retryable, bool)
            assert_type(error.retry_after, float | None)


def shop_test(product: Product) -> None:
    with SandboxServer() as sandbox, capture_events() as events:
        assert_type(assert_event(events, "PURCHASE", items=[product], revenue="19.90"), Event)
        assert_type(
            assert_event(
                [*events],
                EventType.PURCHASE,
                items="sku-1",
                revenue=Money("19.90", "EUR"),
                shipping_charge=Decimal(0),
                page_id=None,
                timestamp=datetime.now(UTC),
            ),
            Event,
        )
        assert_type(drain(), Tally)
        assert_type(drain(sandbox, using="default"), Tally)
        assert_type(drain(sandbox.url).delivered, int)


def asgi() -> None:
    with_drain(with_drain(get_asgi_application()))


def errors(error: InvalidEventError) -> None:
    assert isinstance(error, MolocoError)
    assert_type(error.field, str)
