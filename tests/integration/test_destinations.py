"""Several destinations: where an event goes, with which domain and currency, and under which id."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.dispatch import Signal
from django.http import HttpRequest
from django.test import AsyncClient, Client, RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp import InvalidEventError, Item, Money, signals, track, track_purchase
from django_moloco_rmp.conf import Destination, Settings
from django_moloco_rmp.destinations import chosen
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.shopper import Shopper, current_shopper
from django_moloco_rmp.testing import capture_events
from tests.integration.drops import dropped
from tests.integration.tracking_urls import LAMP
from tests.integration.visits import configured, drop_reasons, get

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("tests.integration.tracking_urls"),
]

DE = {"PLATFORM_ID": "SHOP_DE", "API_KEY": "key-de"}
FR = {"PLATFORM_ID": "SHOP_FR", "API_KEY": "key-fr"}
ADA = {"user_id": "a" * 64, "channel_type": "SITE", "page_id": "CHECKOUT"}


def two(
    de: dict[str, Any] | None = None, fr: dict[str, Any] | None = None, **keys: Any
) -> dict[str, Any]:
    """Keys of MOLOCO_RMP for two destinations, ``de`` and ``fr``."""
    return {
        "RAISE_ERRORS": True,
        "DESTINATIONS": {"de": {**DE, **(de or {})}, "fr": {**FR, **(fr or {})}},
        **keys,
    }


@pytest.fixture
def shop(settings: Any) -> Callable[..., None]:
    """Set up two destinations."""

    def set_up(**keys: Any) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        settings.MOLOCO_RMP = two(**keys)

    return set_up


def goes_to(client: Client | AsyncClient, path: str = "/cart/", **keywords: Any) -> list[str]:
    """Get a page, and tell where the rows that it wrote go."""
    known = set(OutboxEvent.objects.values_list("pk", flat=True))
    get(client, path, **keywords)
    rows = OutboxEvent.objects.exclude(pk__in=known).order_by("id")
    return list(rows.values_list("destination", flat=True))


@pytest.mark.parametrize("path", ["/report/", "/report-async/"])
def test_it_is_the_one_that_is_named(shop: Callable[..., None], client: Client, path: str) -> None:
    shop(DESTINATION="de")
    report = {"event_type": "ADD_TO_CART", "items": LAMP, "destination": "fr", "page_id": "CART"}
    assert goes_to(client, path, report=report) == ["fr"]
    del report["destination"]
    assert goes_to(client, path, report=report) == ["de"]


@pytest.mark.parametrize("name", ["it", "", "DE", 5, b"de"])
def test_a_name_that_is_none_is_refused(shop: Callable[..., None], name: Any) -> None:
    shop(DESTINATION="de")
    with pytest.raises(InvalidEventError, match=r"(?s)destination.*Use one of de, fr\."):
        track("ADD_TO_CART", LAMP, shopper=ADA, destination=name)
    assert not OutboxEvent.objects.exists()


def test_in_production_it_is_dropped_and_the_view_goes_on(
    client: Client, shop: Callable[..., None]
) -> None:
    shop(RAISE_ERRORS=False)
    with drop_reasons() as reasons:
        assert goes_to(client) == []
    assert reasons == ["invalid"]


def test_the_callable_says_where(shop: Callable[..., None], client: Client) -> None:
    asked = []

    def where(request: HttpRequest) -> str | None:
        asked.append(request.path)
        return request.headers.get("x-country")

    shop(DESTINATION=where, fr={"SITES": ["shop.fr"]})
    assert goes_to(client, headers={"x-country": "de", "host": "shop.fr"}) == ["de"]
    assert asked == ["/cart/"]
    # None leaves it to what comes next.
    assert goes_to(client, headers={"host": "shop.fr"}) == ["fr"]
    with pytest.raises(InvalidEventError, match="'it' is none"):
        goes_to(client, headers={"x-country": "it"})


def broken(request: HttpRequest) -> str:
    raise ZeroDivisionError("of the shop's own")


async def coroutine(request: HttpRequest) -> str:
    return "de"


def asks_the_database(request: HttpRequest) -> str:
    return "de" if OutboxEvent.objects.exists() else "fr"


@pytest.mark.parametrize(
    ("where", "rule"),
    [
        (broken, r"the callable in MOLOCO_RMP\['DESTINATION'\] failed with ZeroDivisionError"),
        (coroutine, r"the callable in MOLOCO_RMP\['DESTINATION'\] is a coroutine function"),
        (lambda request: 5, "a int is none"),
    ],
)
def test_a_callable_that_fails_is_told(
    shop: Callable[..., None], client: Client, where: Any, rule: str
) -> None:
    shop(DESTINATION=where)
    with pytest.raises(InvalidEventError, match=rule) as raised:
        goes_to(client)
    assert raised.value.field == "destination"


def test_in_an_event_loop_it_is_not_guessed(shop: Callable[..., None]) -> None:
    # Another platform must not get the event because a database could not be asked.
    shop(DESTINATION=asks_the_database, BUFFERED=())
    assert goes_to(AsyncClient(), "/named-async/") == ["fr"]
    with pytest.raises(SynchronousOnlyOperation):
        get(AsyncClient(), "/sync-track-in-the-loop/")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop.de", "de"),
        ("SHOP.DE:8000", "de"),
        ("shop.de.", "de"),
        ("www.shop.de", "de"),
        ("b2b.shop.de", "fr"),
        ("eu.b2b.shop.de", "fr"),
        ("notshop.de", "default"),
        ("shop.fr", "fr"),
        ("www.shop.fr", "default"),
        ("testserver", "default"),
    ],
)
def test_the_host_says_where(
    shop: Callable[..., None], client: Client, host: str, expected: str
) -> None:
    shop(de={"SITES": [".shop.de"]}, fr={"SITES": ["shop.fr", ".b2b.shop.de"]}, **DE)
    assert goes_to(client, headers={"host": host}) == [expected]


def test_a_name_itself_wins_over_a_pattern(shop: Callable[..., None], client: Client) -> None:
    shop(de={"SITES": [".a.shop.example"]}, fr={"SITES": ["a.shop.example"]})
    assert goes_to(client, headers={"host": "a.shop.example"}) == ["fr"]
    assert goes_to(client, headers={"host": "b.a.shop.example"}) == ["de"]


_PARTS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4)


@given(
    sites=st.dictionaries(
        st.tuples(st.sampled_from(["", "."]), _PARTS.map(".".join)).map("".join),
        st.sampled_from(["de", "fr"]),
        max_size=6,
    ),
    host=_PARTS.map(".".join),
)
def test_of_all_sites_the_nearest_wins(sites: dict[str, str], host: str) -> None:
    destinations = {
        name: Destination(name=name, sites=tuple(site for site in sites if sites[site] == name))
        for name in ("de", "fr", "default")
    }
    request = HttpRequest()
    request.META = {"HTTP_HOST": host}
    # From the name itself to ever shorter domains.
    labels = host.split(".")
    steps = [host, *(f".{'.'.join(labels[place:])}" for place in range(len(labels)))]
    expected = next((sites[step] for step in steps if step in sites), "default")
    with override_settings(ALLOWED_HOSTS=["*"]):
        assert chosen(Settings(destinations=destinations), request).name == expected


def test_a_host_that_is_not_allowed_is_no_site(
    shop: Callable[..., None], client: Client, settings: Any
) -> None:
    # A view that never asks for the host answers to any.
    shop(fr={"SITES": ["evil.example"]}, DESTINATION="de")
    settings.ALLOWED_HOSTS = ["shop.de"]
    assert goes_to(client, headers={"host": "evil.example"}) == ["de"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"DESTINATION": "fr"}, "fr"),
        ({"DESTINATION": "fr", **DE}, "fr"),
        (DE, "default"),
        ({"DESTINATION": lambda request: None, **DE}, "default"),
    ],
)
def test_else_the_settings_say_where(
    shop: Callable[..., None], client: Client, keys: dict[str, Any], expected: str
) -> None:
    shop(**keys)
    assert goes_to(client) == [expected]


def test_nothing_is_guessed(shop: Callable[..., None], client: Client) -> None:
    shop()
    with pytest.raises(InvalidEventError, match="neither the request nor the settings tell"):
        goes_to(client)
    with pytest.raises(InvalidEventError, match="neither the request nor the settings tell"):
        track("ADD_TO_CART", LAMP, shopper=ADA)


def test_the_only_one_needs_no_name_and_nobody_is_asked(settings: Any, client: Client) -> None:
    entry = {**DE, "SITES": ["elsewhere.example"]}
    settings.MOLOCO_RMP = {"DESTINATIONS": {"de": entry}, "DESTINATION": broken}
    assert goes_to(client) == ["de"]


def bodies() -> dict[str, dict[str, Any]]:
    rows = OutboxEvent.objects.values_list("destination", "payload")
    return {name: json.loads(payload) for name, payload in rows}


def test_each_has_its_domain_and_currency(shop: Callable[..., None], client: Client) -> None:
    shop(
        de={"DOMAIN": "shop.de", "DEFAULT_CURRENCY": "EUR"},
        fr={"SITES": ["shop.ch"], "DEFAULT_CURRENCY": "CHF", "DOMAIN": "shop.ch"},
        DESTINATION="de",
    )
    report = {"event_type": "PURCHASE", "items": Item("lamp", price=Money("5"), quantity=1)}
    get(client, "/report/", report=report | {"page_id": "CART"})
    get(client, "/report/", report=report | {"page_id": "CART"}, headers={"host": "shop.ch"})
    found = bodies()
    assert (found["de"]["domain"], found["fr"]["domain"]) == ("shop.de", "shop.ch")
    assert found["de"]["revenue"] == {"currency": "EUR", "amount": 5}
    assert found["fr"]["revenue"] == {"currency": "CHF", "amount": 5}


def test_an_order_id_is_known_to_each_by_itself(shop: Callable[..., None]) -> None:
    shop()
    with capture_events() as events:
        for name in ("de", "fr", "de", "fr"):
            track_purchase(LAMP, shopper=ADA, event_id="order-1", destination=name)
    assert [event.id for event in events] == ["order-1", "order-1"]
    assert len(events.to("de")) == len(events.to("fr")) == 1
    assert events.to("it") == []
    rows = OutboxEvent.objects.order_by("id").values_list("event_id", "destination")
    assert list(rows) == [("order-1", "de"), ("order-1", "fr")]


def test_a_purchase_that_is_rolled_back_is_for_nobody(shop: Callable[..., None]) -> None:
    shop()

    def order() -> None:
        for name in ("de", "fr"):
            track_purchase(LAMP, shopper=ADA, event_id="order-1", destination=name)
        broken(HttpRequest())

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        order()
    assert not OutboxEvent.objects.exists()


def frozen(client: Client, **keywords: Any) -> dict[str, str]:
    """What is kept on an order of a visit."""
    kept: dict[str, str] = {}

    def keep(sender: Any, **_: Any) -> None:
        shopper = current_shopper()
        assert shopper is not None
        kept.update(shopper.freeze())

    signals.event_recorded.connect(keep)
    try:
        get(client, "/cart/", **keywords)
    finally:
        signals.event_recorded.disconnect(keep)
    return kept


def test_a_frozen_shopper_keeps_where_the_order_came_from(
    shop: Callable[..., None], client: Client
) -> None:
    shop(
        de={"DOMAIN": "shop.de"},
        fr={"SITES": ["shop.fr"], "DOMAIN": "shop.fr"},
        DESTINATION="de",
    )
    kept = frozen(client, headers={"host": "shop.fr"})
    assert (kept["destination"], kept["domain"]) == ("fr", "shop.fr")
    OutboxEvent.objects.all().delete()
    track_purchase(LAMP, shopper=kept)
    assert {name: body["domain"] for name, body in bodies().items()} == {"fr": "shop.fr"}
    OutboxEvent.objects.all().delete()
    track_purchase(LAMP, shopper=kept, destination="de")
    assert {name: body["domain"] for name, body in bodies().items()} == {"de": "shop.de"}


def test_what_was_kept_for_one_that_is_gone_is_not_sent_elsewhere(
    shop: Callable[..., None],
) -> None:
    shop(DESTINATION="de")
    with pytest.raises(InvalidEventError, match="'it' is none"):
        track_purchase(LAMP, shopper={**ADA, "destination": "it"})


def test_a_shopper_kept_before_there_were_several_goes_to_the_usual_one(
    shop: Callable[..., None],
) -> None:
    shop(DESTINATION="fr")
    track_purchase(LAMP, shopper=ADA)
    assert list(bodies()) == ["fr"]


@configured(DOMAIN="shop.example")
def test_the_only_one_is_not_named_on_an_order(client: Client) -> None:
    kept = frozen(client)
    assert "destination" not in kept
    assert kept["domain"] == "shop.example"


def test_identifiers_need_no_destination(shop: Callable[..., None]) -> None:
    # A Decision API call knows by itself which platform it asks.
    shop(RAISE_ERRORS=False, DESTINATION=broken)
    shopper = Shopper(RequestFactory().get("/"))
    assert shopper.identifiers().keys() == {"persistent_id"}


def test_an_order_can_still_say_where_if_the_callable_could_not(
    shop: Callable[..., None],
) -> None:
    # With a usual destination, which must not get what may be meant for another.
    shop(RAISE_ERRORS=False, DESTINATION=broken, **DE)
    with dropped() as drops:
        kept = Shopper(RequestFactory().get("/")).freeze()
        assert track_purchase(LAMP, shopper={**ADA, **kept}) is None
        assert track_purchase(LAMP, shopper={**ADA, **kept}, destination="fr") is not None
    assert list(bodies()) == ["fr"]
    assert "No destination: destination: the callable in MOLOCO_RMP['DESTINATION']" in drops.text
    shop(DESTINATION=broken)
    with pytest.raises(InvalidEventError, match="failed with ZeroDivisionError"):
        Shopper(RequestFactory().get("/")).freeze()


def test_where_nothing_tells_an_order_can_say(shop: Callable[..., None]) -> None:
    shop()
    kept = Shopper(RequestFactory().get("/")).freeze()
    assert "destination" not in kept
    track_purchase(LAMP, shopper={**ADA, **kept}, destination="fr")
    assert list(bodies()) == ["fr"]


def test_signals_tell_where(shop: Callable[..., None]) -> None:
    shop()
    heard = []

    def hear(destination: str, using: str, **_: Any) -> None:
        heard.append((destination, using))

    signals.event_recorded.connect(hear)
    track("ADD_TO_CART", LAMP, shopper=ADA, destination="fr")
    signals.event_recorded.disconnect(hear)
    assert heard == [("fr", "default")]


def test_signals_and_mappers_take_it(shop: Callable[..., None]) -> None:
    shop(DESTINATION="de")
    signals.added_to_cart.send(None, items=LAMP, shopper=ADA, destination="fr")
    paid = Signal()

    def mapper(sender: Any, **_: Any) -> dict[str, Any]:
        return {"items": LAMP, "shopper": ADA, "destination": "fr"}

    signals.connect(paid, "PURCHASE", mapper)
    paid.send(None)
    rows = OutboxEvent.objects.order_by("id").values_list("event_type", "destination")
    assert list(rows) == [("ADD_TO_CART", "fr"), ("PURCHASE", "fr")]


def test_template_tags_take_it(shop: Callable[..., None], client: Client) -> None:
    shop(DESTINATION="de", BUFFERED=())
    tag = "{% moloco_event 'ADD_TO_CART' items=lamp page_id='CART' destination='fr' %}"
    assert goes_to(client, "/tag/", query_params={"tag": tag}) == ["fr"]


def test_a_drop_is_explained(shop: Callable[..., None]) -> None:
    shop(RAISE_ERRORS=False)
    with dropped() as drops:
        track("ADD_TO_CART", LAMP, shopper=ADA, destination="it")
    ((sender, reason, detail),) = drops.told
    assert (sender, reason) == ("ADD_TO_CART", "invalid")
    assert detail == "destination: 'it' is none. Use one of de, fr."
