"""track(), the one door, and its shortcuts."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.test import AsyncClient, Client, RequestFactory

import django_moloco_rmp
from django_moloco_rmp import (
    InvalidEventError,
    Item,
    Money,
    as_item,
    atrack,
    track,
    track_add_to_cart,
    track_add_to_wishlist,
    track_home,
    track_item_page_view,
    track_land,
    track_page_view,
    track_purchase,
    track_search,
)
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.shopper import Shopper
from django_moloco_rmp.testing import capture_events
from tests.contract_schema import problems
from tests.integration.tracking_urls import LAMP
from tests.integration.visits import FIREFOX, configured, drop_reasons, events_of

pytestmark = [
    pytest.mark.django_db(databases=["default", "other"]),
    pytest.mark.urls("tests.integration.tracking_urls"),
]

#: What request.moloco.freeze() returns, at its smallest.
ADA = {"user_id": "a" * 64, "channel_type": "SITE", "page_id": "CHECKOUT"}


@dataclass
class Product:
    sku: str


@dataclass
class Faulty:
    sku: str


@as_item.register
def _(product: Product) -> Item:
    return Item(product.sku, price=Money("5"), quantity=3)


@as_item.register
def _(faulty: Faulty) -> Item:
    raise LookupError(faulty.sku)


def event(*arguments: Any, **keywords: Any) -> Any:
    """Track something as Ada, and return the event."""
    with capture_events() as events:
        event_id = track(*arguments, **{"shopper": ADA, **keywords})
    (found,) = events
    assert found.id == event_id
    return found


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: track_home(shopper=ADA), {"event_type": "HOME"}),
        (lambda: track_land(shopper=ADA), {"event_type": "LAND"}),
        (lambda: track_page_view("ABOUT", shopper=ADA), {"page_id": "ABOUT"}),
        (lambda: track_search("lamp", shopper=ADA), {"search_query": "lamp"}),
        (lambda: track_item_page_view(LAMP, shopper=ADA), {"items": (LAMP,)}),
        (lambda: track_add_to_cart([LAMP], shopper=ADA), {"items": (LAMP,)}),
        (lambda: track_add_to_wishlist(LAMP, shopper=ADA), {"event_type": "ADD_TO_WISHLIST"}),
        (lambda: track_purchase(LAMP, shopper=ADA), {"revenue": Money("39.80", "EUR")}),
        (lambda: track_purchase(LAMP, "9 ", shopper=ADA), None),
    ],
)
def test_a_shortcut_is_an_event_of_its_type(
    call: Callable[[], str], expected: dict[str, Any] | None
) -> None:
    if expected is None:
        with pytest.raises(InvalidEventError, match="revenue"):
            call()
        return
    with capture_events() as events:
        event_id = call()
    (found,) = events
    assert found.id == event_id
    assert {name: getattr(found, name) for name in expected} == expected


def test_each_name_that_is_promised_is_there() -> None:
    for name in django_moloco_rmp.__all__:
        assert getattr(django_moloco_rmp, name)
    assert django_moloco_rmp.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'tracks'"):
        django_moloco_rmp.tracks  # noqa: B018


@configured(DEFAULT_CURRENCY="EUR")
def test_what_is_written_is_a_valid_body_under_the_id_returned() -> None:
    event_id = track("ADD_TO_CART", [LAMP, Product("p-1")], shopper=ADA, using="other")
    row = OutboxEvent.objects.using("other").get()
    assert (row.event_id, row.event_type, row.keeps_id) == (event_id, "ADD_TO_CART", False)
    body = json.loads(row.payload)
    assert problems(body) == []
    assert [item["id"] for item in body["items"]] == ["lamp", "p-1"]


def test_an_id_of_the_callers_is_reported_once() -> None:
    assert track("PURCHASE", LAMP, event_id="order-1", shopper=ADA) == "order-1"
    with capture_events() as events:
        assert track("PURCHASE", LAMP, event_id="order-1", shopper=ADA) is None
    assert events == []
    assert OutboxEvent.objects.get().keeps_id is True


def test_the_revenue_is_the_sum_of_price_times_quantity() -> None:
    items = [LAMP, Item("vase", price=Money("0.10", "EUR"), quantity=3)]
    assert event("PURCHASE", items).revenue == Money("40.10", "EUR")
    mixed = [LAMP, Item("vase", price=Money("1", "USD"), quantity=1)]
    with pytest.raises(InvalidEventError, match="revenue: is required for PURCHASE"):
        track("PURCHASE", mixed, shopper=ADA)
    assert event("PURCHASE", mixed, revenue=Money("1", "KRW")).revenue == Money("1", "KRW")


@configured(DEFAULT_CURRENCY="EUR")
def test_amounts_without_a_currency_are_in_the_shops() -> None:
    goods = [
        Item("p", price=Money(Decimal("2.5")), quantity=2, price_seller=Money(2)),
        Product("q"),
    ]
    found = event("PURCHASE", goods, shipping_charge="4.90")
    assert found.revenue == Money("20", "EUR")
    assert found.shipping_charge == Money("4.90", "EUR")
    assert {item.price.currency for item in found.items} == {"EUR"}
    assert found.items[0].price_seller == Money(2, "EUR")


def test_where_it_happened_can_be_told() -> None:
    found = event(
        "PAGE_VIEW", page_id="ABOUT", referrer_page_id="HOME", decision_track_id="track-1"
    )
    assert (found.page_id, found.referrer_page_id, found.decision_track_id) == (
        "ABOUT",
        "HOME",
        "track-1",
    )


def test_a_long_query_is_cut() -> None:
    assert event("SEARCH", search_query="x" * 5000).search_query == "x" * 1000


def test_when_it_happened_can_be_told() -> None:
    moment = datetime.now(UTC) - timedelta(days=1)
    milliseconds = int(moment.timestamp() * 1000)
    assert event("HOME", timestamp=moment).timestamp == milliseconds
    assert event("HOME", timestamp=milliseconds).timestamp == milliseconds


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"event_type": "BUY"}, "event_type"),
        ({"event_type": "HOME", "timestamp": datetime(2026, 1, 1)}, "timestamp"),  # noqa: DTZ001
        (
            {"event_type": "HOME", "timestamp": datetime.now(UTC) + timedelta(days=1)},
            "timestamp",
        ),
        ({"event_type": "HOME", "event_id": " "}, "id"),
        ({"event_type": "SEARCH"}, "search_query"),
        ({"event_type": "SEARCH", "search_query": 7}, "search_query"),
        ({"event_type": "PURCHASE"}, "items"),
        ({"event_type": "PURCHASE", "items": [object()]}, "items"),
        ({"event_type": "PURCHASE", "items": Faulty("x")}, "items"),
        ({"event_type": "PURCHASE", "items": LAMP, "revenue": 1.5}, "revenue"),
        ({"event_type": "PURCHASE", "items": LAMP, "revenue": "-1"}, "revenue"),
        ({"event_type": "HOME", "shopper": None}, "shopper"),
        ({"event_type": "HOME", "shopper": {"name": "Ada"}}, "shopper"),
        ({"event_type": "HOME", "request": RequestFactory().get("/")}, "shopper"),
    ],
)
def test_what_is_invalid_raises_or_is_one_line_in_the_log(
    arguments: dict[str, Any], field: str, caplog: pytest.LogCaptureFixture
) -> None:
    keywords = {"shopper": ADA, **arguments}
    if keywords["shopper"] is None or "request" in arguments:
        del keywords["shopper"]
    with pytest.raises(InvalidEventError) as refused:
        track(**keywords)
    assert refused.value.field.startswith(field)
    with configured(RAISE_ERRORS=False), drop_reasons() as reasons:
        assert track(**keywords) is None
    assert reasons == ["invalid"]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().endswith(str(refused.value))
    assert ADA["user_id"] not in record.getMessage()
    assert not OutboxEvent.objects.exists()


def test_an_object_without_an_adapter_is_named_with_the_fix() -> None:
    with pytest.raises(InvalidEventError, match=r"object.*as_item\.register"):
        track("ADD_TO_CART", object(), shopper=ADA)


@configured(DEFAULT_CURRENCY="EUR")
def test_items_may_come_from_a_generator() -> None:
    assert len(event("ADD_TO_CART", (Product(sku) for sku in "abc")).items) == 3


def test_invalid_events_do_not_break_the_page(client: Client) -> None:
    with configured(RAISE_ERRORS=False):
        assert client.get("/invalid/").content == b"served"
    with pytest.raises(InvalidEventError):
        client.get("/invalid/")


@configured(ENABLED=False)
def test_a_shop_may_switch_it_off() -> None:
    assert track("NOT EVEN CHECKED", shopper=ADA) is None


def test_settings_at_fault_are_told_and_break_no_page(caplog: pytest.LogCaptureFixture) -> None:
    with configured(RAISE_ERRORS=False, TIMEOUT="soon"), drop_reasons() as reasons:
        assert track("HOME", shopper=ADA) is None
    assert reasons == ["configuration"]
    assert "MOLOCO_RMP['TIMEOUT']" in caplog.text


class Wrapper:
    """A request as Django REST framework makes it: another one, with the first one inside."""

    def __init__(self, request: Any) -> None:
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)


def test_a_wrapped_request_is_the_same_request() -> None:
    request: Any = RequestFactory().get("/", headers={"user-agent": FIREFOX})
    request.moloco = Shopper(request)
    assert event("HOME", shopper=None, request=Wrapper(request)).device.ua == FIREFOX
    assert event("HOME", shopper=request.moloco).device.ua == FIREFOX


def test_async_code_waits_for_it() -> None:
    with capture_events() as events:
        event_id = async_to_sync(atrack)("HOME", shopper=ADA)
    assert [each.id for each in events] == [event_id]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_in_an_event_loop_commerce_events_are_refused_with_the_fix(kind: Any) -> None:
    path = "/sync-track-in-the-loop/"
    visitor = kind()
    with pytest.raises(SynchronousOnlyOperation, match=r"await atrack\(\.\.\.\)"):
        events_of(visitor, path)
    with configured(RAISE_ERRORS=False), drop_reasons() as reasons:
        assert events_of(visitor, path) == []
    assert reasons == ["async"]


def test_in_an_event_loop_without_a_request_it_is_the_same() -> None:
    async def emit() -> None:
        track("ADD_TO_CART", LAMP, shopper=ADA)

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(emit())
