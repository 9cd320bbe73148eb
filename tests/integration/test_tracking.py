"""track(), the one door, and its shortcuts."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.test import AsyncClient, Client, RequestFactory
from hypothesis import given
from hypothesis import strategies as st

import django_moloco_rmp
from django_moloco_rmp import (
    EventType,
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
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.shopper import Shopper
from django_moloco_rmp.testing import capture_events
from tests.contract_schema import problems
from tests.integration.drops import dropped
from tests.integration.tracking_urls import LAMP
from tests.integration.visits import (
    FIREFOX,
    configured,
    drop_reasons,
    event_of,
    events_of,
    get,
)
from tests.outbox.samples import claim_one
from tests.strategies import event_arguments

pytestmark = [
    pytest.mark.django_db(databases=["default", "other"]),
    pytest.mark.urls("tests.integration.tracking_urls"),
]


class Nowhere(tzinfo):
    """A time zone that does not know how far it is from UTC."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None


#: What request.moloco.freeze() returns, at its smallest.
ADA = {"user_id": "a" * 64, "channel_type": "SITE", "page_id": "CHECKOUT"}
#: The same, with all that tells one shopper from another.
TRACED = ADA | {"persistent_id": "b" * 64, "ip": "192.0.2.77", "ua": FIREFOX}
SECRETS = (*(TRACED[name] for name in ("user_id", "persistent_id", "ip", "ua")), "test-key")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: What each type needs; a page view gets its page from the request.
NEEDED: dict[EventType, dict[str, Any]] = {
    EventType.HOME: {},
    EventType.LAND: {},
    EventType.PAGE_VIEW: {},
    EventType.SEARCH: {"search_query": "lamp"},
    EventType.ITEM_PAGE_VIEW: {"items": LAMP},
    EventType.ADD_TO_CART: {"items": LAMP},
    EventType.ADD_TO_WISHLIST: {"items": LAMP},
    EventType.PURCHASE: {"items": LAMP},
}


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


@pytest.mark.parametrize("event_type", EventType)
@pytest.mark.parametrize("path", ["/report/", "/report-async/"])
def test_each_type_in_a_request_is_a_valid_row_under_the_id_returned(
    client: Client, path: str, event_type: EventType
) -> None:
    before = time.time_ns() // 1_000_000
    response = get(client, path, report={"event_type": event_type, **NEEDED[event_type]})
    after = time.time_ns() // 1_000_000
    row = OutboxEvent.objects.get()
    assert row.event_id == response.text
    assert (row.event_type, row.state, row.keeps_id) == (event_type, row.State.PENDING, False)
    body = json.loads(row.payload)
    assert problems(body) == []
    assert (body["id"], body["event_type"]) == (row.event_id, event_type)
    assert body["page_id"] == path
    assert before <= int(body["timestamp"]) <= after


@given(event_arguments())
def test_whatever_is_accepted_is_written_as_a_valid_body(arguments: dict[str, Any]) -> None:
    arguments["event_id"] = arguments["id"]
    of_the_shopper = {
        *("channel_type", "device", "domain", "personalization_mode"),
        *("user_id", "custom_id", "session_id", "id", "timestamp"),
    }
    told = {name: value for name, value in arguments.items() if name not in of_the_shopper}
    with transaction.atomic():
        assert track(**told, shopper=ADA) == arguments["id"]
        row = OutboxEvent.objects.get()
        assert (row.event_id, row.keeps_id) == (arguments["id"], True)
        assert problems(json.loads(row.payload)) == []
        transaction.set_rollback(True)


def test_the_transaction_to_join_can_be_told() -> None:
    event_id = track("HOME", shopper=ADA, using="other")
    assert OutboxEvent.objects.using("other").get().event_id == event_id
    assert not OutboxEvent.objects.exists()


@configured(DEFAULT_CURRENCY="EUR")
def test_items_of_all_kinds_may_be_mixed() -> None:
    found = event("ADD_TO_CART", [LAMP, Product("vase"), "rug", {"id": "mug", "quantity": 2}])
    assert [(item.id, item.quantity) for item in found.items] == [
        ("lamp", 2),
        ("vase", 3),
        ("rug", None),
        ("mug", 2),
    ]


def test_an_id_of_the_callers_is_reported_once() -> None:
    assert track("PURCHASE", LAMP, event_id="order-1", shopper=ADA) == "order-1"
    with capture_events() as events:
        assert track("PURCHASE", LAMP, event_id="order-1", shopper=ADA) is None
    assert events == []
    assert OutboxEvent.objects.get().keeps_id is True


def test_an_id_of_the_callers_is_known_after_delivery(client: Client) -> None:
    order = {"event_type": "PURCHASE", "items": LAMP, "event_id": "order-1"}
    assert get(client, "/report/", report=order).text == "order-1"
    outbox = Outbox("default")
    token, claimed = claim_one(outbox)
    outbox.delivered(token, [claimed])
    with dropped() as drops:
        assert get(client, "/report/", report={**order, "items": [LAMP, LAMP]}).text == ""
    assert OutboxEvent.objects.get().payload == ""
    # Reported once is nothing lost.
    assert (drops.told, drops.records) == ([], [])


def test_the_revenue_is_the_sum_of_price_times_quantity() -> None:
    items = [LAMP, Item("vase", price=Money("0.10", "EUR"), quantity=3)]
    assert event("PURCHASE", items).revenue == Money("40.10", "EUR")
    mixed = [LAMP, Item("vase", price=Money("1", "USD"), quantity=1)]
    with pytest.raises(InvalidEventError, match="revenue: is required for PURCHASE"):
        track("PURCHASE", mixed, shopper=ADA)
    assert event("PURCHASE", mixed, revenue=Money("1", "KRW")).revenue == Money("1", "KRW")


@configured(DEFAULT_CURRENCY="JPY")
def test_amounts_without_a_currency_are_refused_where_the_shops_has_no_such_ones() -> None:
    for keywords, field in (
        ({"items": LAMP, "revenue": "2.50"}, "revenue.amount"),
        ({"items": Item("p", price=Money("2.50"))}, "price.amount"),
    ):
        with pytest.raises(InvalidEventError, match="a fraction, which JPY") as refused:
            track("PURCHASE", shopper=ADA, **keywords)
        assert refused.value.field == field


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


def test_where_it_happened_can_be_told_in_a_request(client: Client) -> None:
    here: dict[str, Any] = {
        "path": "/report/",
        "headers": {"referer": "http://testserver/c/lamps/"},
    }
    found = event_of(client, **here, report={"event_type": "PAGE_VIEW"})
    assert (found.page_id, found.referrer_page_id) == ("/report/", "CATEGORY:lamps")
    told = {"event_type": "PAGE_VIEW", "page_id": "ABOUT", "referrer_page_id": "NEWSLETTER"}
    found = event_of(client, **here, report=told)
    assert (found.page_id, found.referrer_page_id) == ("ABOUT", "NEWSLETTER")


def test_a_shopper_or_a_request_that_is_told_goes_before_the_one_at_hand(client: Client) -> None:
    told = {"event_type": "HOME", "shopper": ADA}
    assert event_of(client, "/report/", report=told).user_id == ADA["user_id"]
    request: Any = RequestFactory().get("/", headers={"user-agent": FIREFOX})
    request.moloco = Shopper(request)
    told = {"event_type": "HOME", "request": request}
    assert event_of(client, "/report/", report=told).device.ua == FIREFOX


def test_a_long_query_is_cut() -> None:
    assert event("SEARCH", search_query="x" * 5000).search_query == "x" * 1000


@given(
    st.integers(1_600_000_000_000, 1_760_000_000_000),
    st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23))),
)
def test_when_it_happened_can_be_told_to_the_millisecond(milliseconds: int, zone: tzinfo) -> None:
    moment = (EPOCH + timedelta(milliseconds=milliseconds)).astimezone(zone)
    with transaction.atomic():
        assert event("HOME", timestamp=moment).timestamp == milliseconds
        assert event("HOME", timestamp=milliseconds).timestamp == milliseconds
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"event_type": "BUY"}, "event_type"),
        ({"event_type": "HOME", "timestamp": datetime(2026, 1, 1)}, "timestamp"),  # noqa: DTZ001
        ({"event_type": "HOME", "timestamp": datetime(2026, 1, 1, tzinfo=Nowhere())}, "timestamp"),
        (
            {"event_type": "HOME", "timestamp": datetime.now(UTC) + timedelta(days=1)},
            "timestamp",
        ),
        ({"event_type": ["HOME"]}, "event_type"),
        ({"event_type": "HOME", "using": "nowhere"}, "using"),
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


#: What no argument takes, or only some do.
JUNK = st.one_of(
    st.builds(object),
    st.binary(min_size=1),
    st.floats(),
    st.integers(),
    st.booleans(),
    st.text(st.characters(exclude_categories=[]), min_size=1),
    st.lists(st.builds(object), min_size=1, max_size=2),
    st.dictionaries(st.text(), st.builds(object), min_size=1, max_size=2),
    st.builds(Faulty, st.text()),
    st.datetimes(timezones=st.none() | st.just(UTC)),
    st.decimals(),
)
ARGUMENTS = [
    *("event_type", "items", "revenue", "shipping_charge", "search_query", "page_id"),
    *("referrer_page_id", "decision_track_id", "event_id", "timestamp"),
    *("request", "shopper", "using"),
]


@given(st.sampled_from(ARGUMENTS), JUNK)
def test_no_argument_breaks_the_page_whatever_it_is(name: str, value: Any) -> None:
    order = {"event_type": "PURCHASE", "items": LAMP, "revenue": "1", "shopper": TRACED}
    arguments = {**order, name: value}
    if name == "request":
        del arguments["shopper"]
    with dropped() as drops, transaction.atomic():
        with configured(RAISE_ERRORS=False, DEFAULT_CURRENCY="EUR"):
            event_id = get(Client(), "/report/", report=arguments).text
        rows = [json.loads(row.payload) for row in OutboxEvent.objects.all()]
        transaction.set_rollback(True)
    if event_id:
        assert [body["id"] for body in rows] == [event_id]
        assert problems(rows[0]) == []
        assert (drops.told, drops.records) == ([], [])
        return
    assert rows == []
    with configured(DEFAULT_CURRENCY="EUR"), pytest.raises(InvalidEventError) as refused:
        track(**arguments)
    ((_, reason, detail),) = drops.told
    assert (reason, detail) == ("invalid", str(refused.value))
    (record,) = drops.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().endswith(f", invalid): {detail}")
    assert [secret for secret in SECRETS if secret in drops.text] == []


def test_an_object_without_an_adapter_is_named_with_the_fix() -> None:
    with pytest.raises(InvalidEventError) as refused:
        track("ADD_TO_CART", [LAMP, object()], shopper=ADA)
    assert refused.value.field == "items[1]"
    assert refused.value.rule == "no adapter for builtins.object"
    assert "@as_item.register" in refused.value.fix


@configured(DEFAULT_CURRENCY="EUR")
def test_items_may_come_from_a_generator() -> None:
    assert len(event("ADD_TO_CART", (Product(sku) for sku in "abc")).items) == 3


@pytest.mark.parametrize("path", ["/report/", "/report-async/"])
def test_a_broken_adapter_does_not_break_the_page(client: Client, path: str) -> None:
    faulty = {"event_type": "ADD_TO_CART", "items": [LAMP, Faulty("ada@example.com")]}
    with configured(RAISE_ERRORS=False), dropped() as drops:
        assert get(client, path, report=faulty).text == ""
    ((sender, reason, detail),) = drops.told
    assert (sender, reason) == ("ADD_TO_CART", "invalid")
    assert detail.startswith("items: an adapter failed with LookupError.")
    assert "ada@example.com" not in drops.text
    with pytest.raises(InvalidEventError) as refused:
        client.get(path, report=faulty)
    assert str(refused.value) == detail
    assert isinstance(refused.value.__cause__, LookupError)


def test_a_shop_may_switch_it_off(client: Client) -> None:
    with configured(ENABLED=False), dropped() as drops:
        assert get(client, "/report/", report={"event_type": "NOT EVEN CHECKED"}).text == ""
    assert (drops.told, drops.records) == ([], [])
    assert not OutboxEvent.objects.exists()


def test_a_shopper_frozen_while_it_was_off_is_dropped_with_that_reason() -> None:
    with configured(ENABLED=False):
        frozen = Shopper(RequestFactory().get("/")).freeze()
    with dropped() as drops:
        assert track("HOME", shopper=frozen) is None
    assert (drops.told, drops.records) == ([("HOME", "disabled", "")], [])


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
