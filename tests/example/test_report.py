"""The demo's report: whatever goes wrong between shop and sandbox, a check says so."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from demo import report
from demo.browser import USER_AGENT
from demo.walk import Expected

BROWSER_ID, USER_ID = "b" * 64, "a" * 64
RAW = {"email": "ada@example.com", "customer number": "17"}
WALK = [
    Expected("HOME", "HOME", "www.google.com", since=1000, until=1999),
    Expected(
        "PURCHASE",
        "CHECKOUT_PAGE",
        items=(("LMP-102", "79.90", 2),),
        revenue="159.80",
        shipping="6.50",
        id="order-1",
        is_signed_in=True,
        since=2000,
        until=2999,
    ),
]
DEVICE = {
    "os": "Windows",
    "os_version": "10",
    "ua": USER_AGENT,
    "language": "en",
    "ip": "127.0.0.1",
    "persistent_id": BROWSER_ID,
}
HOME = {
    "id": "1",
    "event_type": "HOME",
    "timestamp": "1500",
    "channel_type": "SITE",
    "page_id": "HOME",
    "referrer_page_id": "www.google.com",
    "device": DEVICE,
}
PURCHASE = {
    "id": "order-1",
    "event_type": "PURCHASE",
    "timestamp": "2500",
    "channel_type": "SITE",
    "page_id": "CHECKOUT_PAGE",
    "user_id": USER_ID,
    "items": [{"id": "LMP-102", "price": {"currency": "EUR", "amount": 79.9}, "quantity": 2}],
    "revenue": {"currency": "EUR", "amount": 159.8},
    "shipping_charge": {"currency": "EUR", "amount": 6.5},
    "device": DEVICE,
}

ARRIVED = "all 2 events arrived, each when it happened"
ACCEPTED = "each was accepted at the first try"
ONCE = "none came twice, and the order carries its own id"
PAGES = "types, pages and referrers are those of the walk"
GOODS = "items, prices, revenue and shipping are exact"
PEOPLE = "one browser all along, and one user, but only while signed in"
DEVICES = "the device is the shopper's, in the bank's webhook too"
PRIVATE = "no personal data, and no raw identifier"


def call(body: Any, status: int = 200) -> dict[str, Any]:
    return {"received_at": "2026-01-01T00:00:00Z", "status": status, "body": deepcopy(body)}


def failing(*calls: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    outcome = report.match(WALK, calls)
    return {check.name: check.faults for check in report.check(outcome, RAW) if check.faults}


def test_what_the_walk_did_passes_in_any_order() -> None:
    assert failing(call(HOME), call(PURCHASE)) == {}
    assert failing(call(PURCHASE), call(HOME)) == {}


def test_a_missing_event_is_named() -> None:
    assert failing(call(HOME))[ARRIVED] == ("PURCHASE on CHECKOUT_PAGE is missing",)


def test_an_event_that_comes_twice_is_named() -> None:
    found = failing(call(HOME), call(PURCHASE), call(PURCHASE))
    assert found == {
        ARRIVED: ("PURCHASE on CHECKOUT_PAGE belongs to nothing in the walk",),
        ONCE: ("order-1 came more than once",),
    }


def test_a_refused_event_is_named() -> None:
    found = failing(call(HOME, 503), call(PURCHASE))
    assert found == {ACCEPTED: ("HOME was answered 503",)}


def test_a_call_that_holds_no_event_belongs_to_nothing() -> None:
    found = failing(call(HOME), call(PURCHASE), call("<not json", 400))
    assert found.keys() == {ARRIVED, ACCEPTED}


@pytest.mark.parametrize(
    ("change", "check", "fault"),
    [
        ({"timestamp": "3000"}, ARRIVED, "PURCHASE on CHECKOUT_PAGE is missing"),
        ({"timestamp": "soon"}, ARRIVED, "PURCHASE on CHECKOUT_PAGE is missing"),
        ({"id": "other"}, ONCE, "PURCHASE has id other instead of order-1"),
        (
            {"page_id": "CART_PAGE"},
            PAGES,
            'PURCHASE on CHECKOUT_PAGE: page_id is "CART_PAGE" instead of "CHECKOUT_PAGE"',
        ),
        (
            {"referrer_page_id": "CART_PAGE"},
            PAGES,
            'PURCHASE on CHECKOUT_PAGE: referrer_page_id is "CART_PAGE" instead of absent',
        ),
        (
            {"revenue": {"currency": "EUR", "amount": 159.79}},
            GOODS,
            'PURCHASE on CHECKOUT_PAGE: revenue is {"currency": "EUR", "amount": "159.79"}'
            ' instead of {"currency": "EUR", "amount": "159.80"}',
        ),
        ({"user_id": "17-ada"}, PEOPLE, "a user id is no hash"),
        (
            {"custom_id": "c" * 64},
            PEOPLE,
            "PURCHASE on CHECKOUT_PAGE has a custom_id, which is not needed",
        ),
        (
            {"device": DEVICE | {"persistent_id": "c" * 64}},
            PEOPLE,
            "there are 2 different browser ids",
        ),
        (
            {"device": {"persistent_id": BROWSER_ID}},
            DEVICES,
            "PURCHASE on CHECKOUT_PAGE: the device is {}",
        ),
        (
            {"decision_track_id": "for ADA@example.com"},
            PRIVATE,
            "PURCHASE on CHECKOUT_PAGE holds the email",
        ),
        (
            {"decision_track_id": "17"},
            PRIVATE,
            "PURCHASE on CHECKOUT_PAGE holds the customer number",
        ),
    ],
)
def test_a_difference_is_named(change: dict[str, Any], check: str, fault: str) -> None:
    assert fault in failing(call(HOME), call(PURCHASE | change))[check]


def test_a_short_identifier_may_be_part_of_another_text() -> None:
    event_id = HOME | {"id": "3d17f0"}
    assert failing(call(event_id), call(PURCHASE)) == {}


def test_a_user_while_nobody_is_signed_in_is_named() -> None:
    found = failing(call(HOME | {"user_id": USER_ID}), call(PURCHASE))
    assert found == {PEOPLE: ("HOME on HOME has a user while nobody is signed in",)}


def test_another_user_after_signing_in_again_is_named() -> None:
    walk = [replace(WALK[0], is_signed_in=True), WALK[1]]
    calls = [call(HOME | {"user_id": "c" * 64}), call(PURCHASE)]
    checks = report.check(report.match(walk, calls), RAW)
    faults = {each.name: each.faults for each in checks if each.faults}
    assert faults == {PEOPLE: ("there are 2 different user ids",)}


@pytest.mark.parametrize("width", [60, 80, 100, 120, 137, 1000])
def test_the_table_fits_and_shows_each_event(width: int) -> None:
    long = HOME | {"page_id": "PRODUCT_DETAIL_PAGE:bolge-bottle-vase", "search_query": "lamp"}
    lines = report.table(report.match(WALK, [call(long), call(PURCHASE)]), width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    for word in ("HOME", "www.google.com", '"lamp"', "2 x LMP-102", "159.80 + 6.50", "200"):
        assert word in text
    assert ("bolge-bottle-vase" in text) is (width >= 80)
