"""assert_event(): what it finds, and what it says when it does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from django_moloco_rmp import Event, InvalidEventError, Item, Money, as_item, track
from django_moloco_rmp.testing import CapturedEvents, Dropped, assert_event, capture_events
from tests import strategies
from tests.integration.visits import configured
from tests.outbox.samples import event

NOW = 1_700_000_000_000


@dataclass
class Line:
    """A shop's own line of a cart."""

    sku: str
    price: str
    count: int


@as_item.register
def _(line: Line) -> Item:
    # Without a currency, which DEFAULT_CURRENCY fills in when it is reported.
    return Item(line.sku, price=Money(line.price), quantity=line.count)


def purchase(**fields: Any) -> Event:
    arguments = {
        "event_type": "PURCHASE",
        "timestamp": NOW,
        "items": (
            Item("lamp", price=Money("19.90", "EUR"), quantity=2),
            Item("sofa", price=Money(300, "EUR")),
        ),
        "revenue": Money("339.80", "EUR"),
        "page_id": "CHECKOUT",
        "user_id": "a" * 64,
    }
    return event(**arguments | fields)


def message(*arguments: Any, **expected: Any) -> str:
    with pytest.raises(AssertionError) as failed:
        assert_event(*arguments, **expected)
    return str(failed.value)


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"items": ["lamp", "sofa"]},
        {"items": (sku for sku in ("lamp", "sofa"))},
        {"items": [Line("lamp", "19.9", 2), "sofa"]},
        {"items": [Item("lamp", quantity=2), Item("sofa", price=Money(300, "EUR"))]},
        {"items": [{"id": "lamp", "price": "19.90"}, "sofa"]},
        {"revenue": "339.80"},
        {"revenue": Decimal("339.8")},
        {"revenue": Money("339.8", "EUR")},
        {"shipping_charge": None, "search_query": None, "domain": None},
        {"page_id": "CHECKOUT", "referrer_page_id": None, "decision_track_id": None},
        {"timestamp": NOW},
        {"timestamp": datetime.fromtimestamp(NOW / 1000, UTC)},
        {"user_id": "a" * 64, "custom_id": "0" * 64, "persistent_id": None},
        {"channel_type": "SITE", "personalization_mode": None},
    ],
    ids="-".join,
)
def test_what_is_given_is_compared_and_nothing_else(expected: dict[str, Any]) -> None:
    wanted = purchase()
    assert assert_event([event(), wanted, purchase()], "PURCHASE", **expected) is wanted


@pytest.mark.parametrize(
    ("expected", "path", "wanted", "actual"),
    [
        ({"items": ["lamp", "chair"]}, "items[1].id", "'chair'", "'sofa'"),
        ({"items": ["sofa", "sofa"]}, "items[0].id", "'sofa'", "'lamp'"),
        ({"items": "lamp"}, "items", "1 item: 'lamp'", "2 items: 'lamp', 'sofa'"),
        ({"items": []}, "items", "no items", "2 items: 'lamp', 'sofa'"),
        ({"items": None}, "items", "no items", "2 items: 'lamp', 'sofa'"),
        ({"items": [Line("lamp", "19.90", 3), "sofa"]}, "items[0].quantity", "3", "2"),
        ({"items": [Line("lamp", "9.90", 2), "sofa"]}, "items[0].price", "9.90", "19.90 EUR"),
        ({"items": ["lamp", Item("sofa", quantity=1)]}, "items[1].quantity", "1", "nothing"),
        ({"revenue": "1"}, "revenue", "1", "339.80 EUR"),
        ({"revenue": Money("339.80", "USD")}, "revenue", "339.80 USD", "339.80 EUR"),
        ({"revenue": None}, "revenue", "nothing", "339.80 EUR"),
        ({"shipping_charge": 5}, "shipping_charge", "5", "nothing"),
        ({"search_query": "lamp"}, "search_query", "'lamp'", "nothing"),
        ({"page_id": "CART"}, "page_id", "'CART'", "'CHECKOUT'"),
        ({"page_id": None}, "page_id", "nothing", "'CHECKOUT'"),
        ({"referrer_page_id": "CART"}, "referrer_page_id", "'CART'", "nothing"),
        ({"decision_track_id": "t"}, "decision_track_id", "'t'", "nothing"),
        ({"event_id": "order-1"}, "id", "'order-1'", "'order-2'"),
        ({"timestamp": NOW + 1}, "timestamp", str(NOW + 1), str(NOW)),
        ({"user_id": None}, "user_id", "nothing", repr("a" * 64)),
        ({"custom_id": None}, "custom_id", "nothing", repr("0" * 64)),
        ({"persistent_id": "p"}, "device.persistent_id", "'p'", "nothing"),
        ({"channel_type": "APP"}, "channel_type", "'APP'", "'SITE'"),
        ({"domain": "shop.example"}, "domain", "'shop.example'", "nothing"),
        ({"personalization_mode": "ID_LESS"}, "personalization_mode", "'ID_LESS'", "nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value),
)
def test_each_difference_is_shown(
    expected: dict[str, Any], path: str, wanted: str, actual: str
) -> None:
    lines = message([purchase(id="order-2")], "PURCHASE", **expected).splitlines()
    assert lines[:5] == [
        "No PURCHASE event is as expected.",
        "There is number 1 below, which differs in:",
        f"  {path}",
        f"    expected: {wanted}",
        f"    actual:   {actual}",
    ]
    assert lines[5:] == [
        "Reported:",
        "  1. PURCHASE on page 'CHECKOUT' with 2 items: 'lamp', 'sofa' for 339.80 EUR",
    ]


def test_the_nearest_is_shown_among_all_there_are() -> None:
    events = [
        event("cart", page_id="PRODUCT:lamp"),
        purchase(page_id="CART", revenue=Money(1, "EUR")),
        purchase(page_id="CART"),
        event("search", event_type="SEARCH", items=(), search_query="lamp"),
    ]
    assert message(events, "PURCHASE", page_id="CHECKOUT", revenue="339.80") == (
        "No PURCHASE event is as expected.\n"
        "The nearest of 2 is number 3 below, which differs in:\n"
        "  page_id\n"
        "    expected: 'CHECKOUT'\n"
        "    actual:   'CART'\n"
        "Reported:\n"
        "  1. ADD_TO_CART on page 'PRODUCT:lamp' with 1 item: 'lamp'\n"
        "  2. PURCHASE on page 'CART' with 2 items: 'lamp', 'sofa' for 1 EUR\n"
        "  3. PURCHASE on page 'CART' with 2 items: 'lamp', 'sofa' for 339.80 EUR\n"
        "  4. SEARCH searching 'lamp'"
    )


def test_items_are_compared_in_their_order() -> None:
    lines = message([purchase()], "PURCHASE", items=["sofa", "lamp"]).splitlines()
    assert (lines[2], lines[5]) == ("  items[0].id", "  items[1].id")


def test_a_page_id_may_be_as_long_as_it_was_reported() -> None:
    wanted = purchase(page_id="P" * 300, referrer_page_id="R" * 300)
    assert_event([wanted], "PURCHASE", page_id="P" * 300, referrer_page_id="R" * 300)
    message([wanted], "PURCHASE", page_id="P" * 301)


def test_another_type_does_not_do() -> None:
    assert message([event()], "PURCHASE") == (
        "There is no PURCHASE event.\nReported:\n  1. ADD_TO_CART with 1 item: 'lamp'"
    )


def test_none_at_all_is_said_clearly() -> None:
    assert message([], "HOME") == "There is no HOME event: no event was reported at all."


def test_dropped_events_are_shown_with_their_reasons() -> None:
    with configured(RAISE_ERRORS=False), capture_events() as events:
        track("PURCHASE", shopper={"user_id": "a"})
        track("HOME", shopper={"dropped": "bot"})
    assert message(events, "PURCHASE") == (
        "There is no PURCHASE event: no event was reported at all.\n"
        "Dropped:\n"
        "  1. PURCHASE: invalid (items: are required for PURCHASE. Pass at least one item.)\n"
        "  2. HOME: bot"
    )


@configured(ENABLED=False)
def test_a_shop_that_is_switched_off_is_told() -> None:
    assert message([], "HOME").splitlines()[1] == (
        "MOLOCO_RMP['ENABLED'] is False, so nothing is reported."
    )


def test_long_lists_are_cut() -> None:
    events = CapturedEvents()
    events += [event(items=[Item(str(number)) for number in range(50)])] * 50
    events.dropped += [Dropped(None, "invalid", "")] * 21
    lines = message(events, "HOME").splitlines()
    assert lines[2].endswith("'18', '19', ...")
    assert lines[22] == "  and 30 more"
    assert lines[-1] == "  and 1 more"


@pytest.mark.parametrize(
    ("event_type", "expected", "field"),
    [
        ("BUY", {}, "event_type"),
        ("PURCHASE", {"revenue": 19.9}, "revenue.amount"),
        ("PURCHASE", {"items": [object()]}, "items[0]"),
    ],
)
def test_what_no_event_could_have_is_refused(
    event_type: str, expected: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidEventError) as refused:
        assert_event([purchase()], event_type, **expected)
    assert refused.value.field == field


@given(strategies.events)
def test_an_event_is_found_by_all_that_it_has(any_event: Event) -> None:
    found = assert_event(
        [any_event],
        any_event.event_type,
        items=any_event.items,
        revenue=any_event.revenue,
        shipping_charge=any_event.shipping_charge,
        search_query=any_event.search_query,
        page_id=any_event.page_id,
        referrer_page_id=any_event.referrer_page_id,
        decision_track_id=any_event.decision_track_id,
        event_id=any_event.id,
        timestamp=any_event.timestamp,
        user_id=any_event.user_id,
        persistent_id=any_event.device.persistent_id,
        custom_id=any_event.custom_id,
        channel_type=any_event.channel_type,
        domain=any_event.domain,
        personalization_mode=any_event.personalization_mode,
    )
    assert found is any_event
