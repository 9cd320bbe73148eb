"""Signals: those a shop fires, those it has already, and those it listens to."""

from __future__ import annotations

import time
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.dispatch import Signal
from django.test import RequestFactory

from django_moloco_rmp import Event, EventType, Item, Money, as_item, signals, track
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.shopper import Shopper
from django_moloco_rmp.testing import capture_events
from tests.integration.drops import dropped
from tests.integration.visits import FIREFOX, configured

pytestmark = pytest.mark.django_db

LAMP = Item("lamp", price=Money("19.90", "EUR"), quantity=1)


@pytest.fixture
def request_() -> Any:
    request: Any = RequestFactory().get("/", headers={"user-agent": FIREFOX})
    request.moloco = Shopper(request)
    return request


@pytest.mark.parametrize(
    ("signal", "event_type", "arguments"),
    [
        (signals.item_page_viewed, "ITEM_PAGE_VIEW", {"items": LAMP}),
        (signals.added_to_cart, "ADD_TO_CART", {"items": [LAMP]}),
        (signals.added_to_wishlist, "ADD_TO_WISHLIST", {"items": [LAMP]}),
        (signals.purchased, "PURCHASE", {"items": [LAMP], "event_id": "order-1"}),
        (signals.searched, "SEARCH", {"search_query": "lamp"}),
    ],
)
def test_a_signal_that_the_shop_fires_is_an_event(
    request_: Any, signal: Signal, event_type: str, arguments: dict[str, Any]
) -> None:
    with capture_events() as events:
        signal.send(sender=object, request=request_, **arguments)
    assert [event.event_type for event in events] == [event_type]
    if "event_id" in arguments:
        return
    with capture_events() as events:
        async_to_sync(signal.asend)(sender=None, request=request_, **arguments)
    assert [event.event_type for event in events] == [event_type]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"items": []}, "invalid"),
        ({"items": LAMP, "colour": "red"}, "error"),
        ({"items": LAMP, "event_type": "HOME"}, "error"),
    ],
)
def test_a_signal_that_is_wrong_is_an_error_only_while_developing(
    request_: Any, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises((TypeError, ValueError)):
        signals.added_to_cart.send(sender=object, request=request_, **arguments)
    with configured(RAISE_ERRORS=False), dropped() as drops:
        signals.added_to_cart.send(sender=object, request=request_, **arguments)
    assert [told[:2] for told in drops.told] == [("ADD_TO_CART", reason)]
    assert len(drops.records) == 1


@pytest.fixture
def paid() -> Signal:
    """A signal that the shop has had for long."""
    return Signal()


def to_purchase(sender: Any, order: str, request: Any, **_: Any) -> dict[str, Any] | None:
    if order == "test order":
        return None
    return {"items": LAMP, "event_id": order, "request": request, "decision_track_id": sender}


def to_cart(sender: Any, request: Any, **_: Any) -> dict[str, Any]:
    return {"items": LAMP, "request": request}


def test_a_signal_connected_twice_is_one_event(request_: Any, paid: Signal) -> None:
    signals.connect(paid, "ADD_TO_CART", to_cart)
    signals.connect(paid, "ADD_TO_CART", to_cart)
    with capture_events() as events:
        paid.send(sender="web", request=request_)
    assert len(events) == 1


def test_a_signal_of_the_shop_is_mapped(request_: Any, paid: Signal) -> None:
    signals.connect(paid, "PURCHASE", to_purchase)
    with capture_events() as events:
        paid.send(sender="web", order="order-1", request=request_)
        paid.send(sender="web", order="test order", request=request_)
    (event,) = events
    assert (event.id, event.decision_track_id) == ("order-1", "web")


def test_a_signal_of_the_shop_is_mapped_in_async_code_too(request_: Any, paid: Signal) -> None:
    signals.connect(paid, "PURCHASE", to_purchase)
    with capture_events() as events:
        async_to_sync(paid.asend)(sender="web", order="order-1", request=request_)
    assert [event.id for event in events] == ["order-1"]


def test_a_mapper_that_fails_does_not_break_the_sale(paid: Signal) -> None:
    customers: dict[str, str] = {}
    signals.connect(paid, "PURCHASE", lambda sender, order, **_: {"items": customers[order]})
    with pytest.raises(InvalidEventError) as refused:
        paid.send(sender=None, order="ada@example.com")
    assert isinstance(refused.value.__cause__, KeyError)
    with configured(RAISE_ERRORS=False), dropped() as drops:
        paid.send(sender=None, order="ada@example.com")
    assert drops.told == [("PURCHASE", "invalid", str(refused.value))]
    assert drops.told[0][2].startswith("mapper: failed with KeyError.")
    (record,) = drops.records
    assert record.getMessage() == f"Event dropped (PURCHASE, invalid): {refused.value}"
    assert "ada@example.com" not in drops.text


@pytest.mark.parametrize("answer", [{"items": LAMP, "colour": "red"}, {"items": []}, [], "items"])
def test_what_a_mapper_gets_wrong_does_not_break_the_sale(
    request_: Any, paid: Signal, answer: Any
) -> None:
    signals.connect(paid, "ADD_TO_CART", lambda sender, **_: answer)
    with configured(RAISE_ERRORS=False), dropped() as drops, capture_events() as events:
        paid.send(sender=None, request=request_)
    assert events == []
    assert [told[0] for told in drops.told] == ["ADD_TO_CART"]


def test_a_type_that_does_not_exist_is_an_error_at_start(paid: Signal) -> None:
    with pytest.raises(ValueError, match="BUY"):
        signals.connect(paid, "BUY", to_purchase)


def test_a_receiver_that_fails_breaks_nothing(request_: Any) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError

    for signal in (signals.event_recorded, signals.event_dropped):
        signal.connect(fail)
    try:
        with capture_events() as events:
            assert track("HOME", request=request_)
        with configured(RAISE_ERRORS=False):
            assert track("PURCHASE", request=request_) is None
    finally:
        for signal in (signals.event_recorded, signals.event_dropped):
            signal.disconnect(fail)
    assert len(events) == 1


def test_what_is_dropped_is_told_with_its_reason(request_: Any) -> None:
    with configured(RAISE_ERRORS=False), dropped() as drops:
        track("SEARCH", request=request_)
        track(["SEARCH"], request=request_)  # type: ignore[arg-type]
    with pytest.raises(InvalidEventError) as refused:
        track("SEARCH", request=request_)
    assert drops.told[0] == ("SEARCH", "invalid", str(refused.value))
    # What is no text might not be hashable, as a sender has to be.
    assert drops.told[1][:2] == (None, "invalid")


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("using", [None, "other"])
def test_what_is_recorded_is_told_with_the_event(request_: Any, using: str | None) -> None:
    told: list[Any] = []

    def collect(sender: Any, event: Event, using: str, **_: Any) -> None:
        rows = OutboxEvent.objects.using(using)
        told.append((sender, event.page_id, using, rows.filter(event_id=event.id).count()))

    signals.event_recorded.connect(collect)
    try:
        track("PAGE_VIEW", page_id="ABOUT", request=request_, using=using)
    finally:
        signals.event_recorded.disconnect(collect)
    assert told == [(EventType.PAGE_VIEW, "ABOUT", using or "default", 1)]


class Slow:
    """An object whose adapter takes its time."""


@as_item.register
def _(value: Slow) -> Item:
    until = time.perf_counter() + 0.002
    while time.perf_counter() < until:
        pass
    return LAMP


def test_listeners_are_told_how_long_it_took(request_: Any) -> None:
    told: list[float] = []

    def collect(sender: Any, seconds: float, **_: Any) -> None:
        told.append(seconds)

    signals.event_recorded.connect(collect)
    signals.event_dropped.connect(collect)
    started = time.perf_counter()
    with configured(RAISE_ERRORS=False):
        assert track("ADD_TO_CART", Slow(), request=request_)
        assert track("PAGE_VIEW", Slow(), page_id=7, request=request_) is None  # type: ignore[arg-type]
        assert track("ADD_TO_CART", Slow(), shopper={"dropped": "consent"}) is None
    elapsed = time.perf_counter() - started
    signals.event_recorded.disconnect(collect)
    signals.event_dropped.disconnect(collect)
    recorded, invalid, dropped_early = told
    assert recorded >= 0.002
    assert invalid >= 0.002
    assert dropped_early > 0
    assert sum(told) <= elapsed
