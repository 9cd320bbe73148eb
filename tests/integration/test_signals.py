"""Signals: those a shop fires, those it has already, and those it listens to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.dispatch import Signal
from django.test import RequestFactory

from django_moloco_rmp import Item, Money, signals, track
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.shopper import Shopper
from django_moloco_rmp.testing import capture_events
from tests.integration.visits import FIREFOX, configured, drop_reasons

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


def test_an_argument_that_track_does_not_know_is_an_error(request_: Any) -> None:
    with pytest.raises(TypeError, match="colour"):
        signals.added_to_cart.send(sender=object, items=LAMP, colour="red", request=request_)


@pytest.fixture
def paid() -> Iterator[Signal]:
    """A signal that the shop has had for long."""
    return Signal()


def to_purchase(sender: Any, order: str, request: Any, **_: Any) -> dict[str, Any] | None:
    if order == "test order":
        return None
    return {"items": LAMP, "event_id": order, "request": request, "decision_track_id": sender}


def test_a_signal_of_the_shop_is_mapped(request_: Any, paid: Signal) -> None:
    # The second time changes nothing, as when a module is imported under two names.
    signals.connect(paid, "PURCHASE", to_purchase)
    signals.connect(paid, "PURCHASE", to_purchase)
    with capture_events() as events:
        paid.send(sender="web", order="order-1", request=request_)
        paid.send(sender="web", order="test order", request=request_)
    (event,) = events
    assert (event.id, event.decision_track_id) == ("order-1", "web")


def test_a_mapper_that_fails_does_not_break_the_sale(
    request_: Any, paid: Signal, caplog: pytest.LogCaptureFixture
) -> None:
    signals.connect(paid, "PURCHASE", lambda sender, **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        paid.send(sender=None)
    with configured(RAISE_ERRORS=False), drop_reasons() as reasons:
        paid.send(sender=None)
    assert reasons == ["error"]
    assert caplog.records[-1].getMessage() == "Event dropped (PURCHASE, error)"


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
    told: list[dict[str, Any]] = []

    def collect(sender: Any, reason: str, detail: str, **_: Any) -> None:
        told.append({"sender": sender, "reason": reason, "detail": detail})

    signals.event_dropped.connect(collect)
    try:
        with configured(RAISE_ERRORS=False):
            track("SEARCH", request=request_)
    finally:
        signals.event_dropped.disconnect(collect)
    with pytest.raises(InvalidEventError) as refused:
        track("SEARCH", request=request_)
    assert told == [{"sender": "SEARCH", "reason": "invalid", "detail": str(refused.value)}]
