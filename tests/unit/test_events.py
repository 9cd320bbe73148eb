from __future__ import annotations

import pickle
import time
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from django_moloco_rmp import events
from django_moloco_rmp.events import (
    RESERVED_USER_IDS,
    ChannelType,
    Device,
    Event,
    EventType,
    Item,
    Money,
    PersonalizationMode,
)
from django_moloco_rmp.exceptions import InvalidEventError
from tests import strategies
from tests.strategies import NOW

EUR = Money("19.90", "EUR")
WITH_ITEMS = [
    EventType.ITEM_PAGE_VIEW,
    EventType.ADD_TO_CART,
    EventType.ADD_TO_WISHLIST,
    EventType.PURCHASE,
]
#: The least that each type needs.
MINIMAL: dict[str, dict[str, Any]] = {
    EventType.HOME: {},
    EventType.LAND: {},
    EventType.PAGE_VIEW: {"page_id": "CART"},
    EventType.SEARCH: {"search_query": "shoes"},
    EventType.ITEM_PAGE_VIEW: {"items": (Item("p"),)},
    EventType.ADD_TO_CART: {"items": (Item("p"),)},
    EventType.ADD_TO_WISHLIST: {"items": (Item("p"),)},
    EventType.PURCHASE: {"items": (Item("p"),), "revenue": EUR},
}


def make(event_type: Any = EventType.HOME, **changes: Any) -> Event:
    arguments: dict[str, Any] = {
        "event_type": event_type,
        "timestamp": NOW,
        "channel_type": ChannelType.SITE,
        "id": "event-1",
        "user_id": "shopper",
        "now": NOW,
    }
    return Event(**arguments | MINIMAL.get(str(event_type), {}) | changes)


def refusal(event_type: Any = EventType.HOME, **changes: Any) -> InvalidEventError:
    with pytest.raises(InvalidEventError) as caught:
        make(event_type, **changes)
    return caught.value


def test_words_of_the_api() -> None:
    assert [len(EventType), len(ChannelType), len(PersonalizationMode)] == [8, 4, 3]


def test_everything_promised_is_there() -> None:
    assert all(hasattr(events, name) for name in events.__all__)


@pytest.mark.parametrize("event_type", EventType)
def test_least_event_of_each_type(event_type: EventType) -> None:
    assert make(event_type).event_type is event_type


@pytest.mark.parametrize("event_type", EventType)
def test_event_type_as_text(event_type: EventType) -> None:
    event = make(event_type.value, **MINIMAL[event_type])
    assert event.event_type is event_type


@pytest.mark.parametrize(
    "value", ["home", "VIEW_ITEM", "UNKNOWN_EVENT_TYPE", "", None, 1, ["HOME"]]
)
def test_unknown_event_type_is_refused(value: object) -> None:
    error = refusal(value)
    assert error.field == "event_type"
    assert error.rule.startswith("must be one of HOME, LAND, PAGE_VIEW")
    assert error.fix == "Use EventType."


@pytest.mark.parametrize("channel_type", ["SITE", "DESKTOP_SITE", "MOBILE_SITE"])
def test_channel_as_text(channel_type: str) -> None:
    assert make(channel_type=channel_type).channel_type is ChannelType(channel_type)


@pytest.mark.parametrize("value", ["WEB", "site", "UNKNOWN_CHANNEL_TYPE", None])
def test_unknown_channel_is_refused(value: object) -> None:
    error = refusal(channel_type=value)
    assert (error.field, error.fix) == ("channel_type", "Use ChannelType.")


@pytest.mark.parametrize("mode", PersonalizationMode)
def test_personalization_mode_as_text(mode: PersonalizationMode) -> None:
    assert make(personalization_mode=mode.value).personalization_mode is mode


@pytest.mark.parametrize("value", ["NONE", "", "UNKNOWN_PERSONALIZATION_MODE"])
def test_unknown_personalization_mode_is_refused(value: str) -> None:
    error = refusal(personalization_mode=value)
    assert (error.field, error.fix) == ("personalization_mode", "Use PersonalizationMode.")


@pytest.mark.parametrize("timestamp", [10**12, NOW - 1, NOW])
def test_timestamp_in_milliseconds(timestamp: int) -> None:
    assert make(timestamp=timestamp).timestamp == timestamp


@pytest.mark.parametrize(
    ("timestamp", "unit"),
    [
        (NOW // 1000, "seconds"),
        (10**9, "seconds"),
        (NOW * 1000, "microseconds"),
        (NOW * 10**6, "nanoseconds"),
    ],
)
def test_timestamp_of_another_unit_is_refused(timestamp: int, unit: str) -> None:
    error = refusal(timestamp=timestamp)
    assert (error.field, error.rule) == ("timestamp", f"looks like {unit}")
    assert error.fix == "Pass milliseconds since the epoch: int(time.time() * 1000)."


@pytest.mark.parametrize(
    "timestamp", [0, -NOW, 10**12 - 1, 10**13, pytest.param(10**5000, id="huge")]
)
def test_timestamp_of_no_unit_is_refused(timestamp: int) -> None:
    error = refusal(timestamp=timestamp)
    assert (error.field, error.rule) == ("timestamp", "is not a 13-digit count of milliseconds")


@pytest.mark.parametrize(
    "value", [float(NOW), str(NOW), True, None, Decimal(NOW), datetime(2026, 1, 1, tzinfo=UTC)]
)
def test_timestamp_of_another_type_is_refused(value: object) -> None:
    error = refusal(timestamp=value)
    assert error.field == "timestamp"
    assert type(value).__name__ in error.rule
    assert error.fix == "Pass int(moment.timestamp() * 1000)."


def test_timestamp_in_the_future_is_refused() -> None:
    error = refusal(timestamp=NOW + 1)
    assert (error.field, error.rule) == ("timestamp", "is in the future")
    assert "when" in error.fix or "moment" in error.fix


def test_system_clock_decides_by_default() -> None:
    past = int(time.time() * 1000)
    assert make(timestamp=past, now=None).timestamp == past
    assert refusal(timestamp=9_999_999_999_999, now=None).rule == "is in the future"


@pytest.mark.parametrize("value", [None, "", " "])
def test_event_without_id_is_refused(value: object) -> None:
    assert refusal(id=value).field == "id"


@pytest.mark.parametrize("name", ["user_id", "custom_id", "session_id"])
def test_identifier_over_128_characters_is_refused(name: str) -> None:
    error = refusal(**{name: "x" * 129})
    assert (error.field, error.rule) == (name, "is 129 characters long, more than 128")


@pytest.mark.parametrize("name", ["user_id", "custom_id", "session_id"])
def test_identifier_of_128_characters(name: str) -> None:
    assert getattr(make(**{name: "x" * 128}), name) == "x" * 128


@pytest.mark.parametrize("value", [*sorted(RESERVED_USER_IDS), "None", "NULL", " undefined "])
def test_placeholder_for_a_user_id_is_refused(value: str) -> None:
    error = refusal(user_id=value)
    assert (error.field, error.rule) == ("user_id", "is a placeholder, not an id")
    assert "not signed in" in error.fix


@pytest.mark.parametrize(
    "identifier",
    [
        {"user_id": "u"},
        {"custom_id": "c"},
        {"session_id": "s"},
        {"device": Device(persistent_id="p")},
        {"device": Device(unique_device_id="d")},
        {"device": Device(advertising_id="7acefbed-d1f6-4e4e-aa26-74e93dd017e4")},
    ],
    ids=repr,
)
def test_any_one_identifier_is_enough(identifier: dict[str, Any]) -> None:
    event = make(**{"user_id": None} | identifier)
    assert all(getattr(event, name) == value for name, value in identifier.items())


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_event_without_identifier_is_refused(blank: str | None) -> None:
    error = refusal(
        user_id=blank, custom_id=blank, session_id=blank, device=Device(persistent_id=blank)
    )
    assert (error.field, error.rule) == ("user_id", "is missing, and so is any other identifier")
    assert "device.persistent_id" in error.fix


def test_session_id_is_mirrored() -> None:
    event = make(session_id="s")
    assert (event.session_id, event.custom_id) == ("s", "s")


def test_custom_id_is_not_overwritten() -> None:
    assert make(session_id="s", custom_id="c").custom_id == "c"


@pytest.mark.parametrize(
    "name",
    ["domain", "search_query", "page_id", "referrer_page_id", "decision_track_id", "custom_id"],
)
def test_blank_text_is_absent(name: str) -> None:
    assert getattr(make(**{name: " \x00"}), name) is None


@pytest.mark.parametrize(
    "name",
    ["user_id", "domain", "search_query", "page_id", "referrer_page_id", "decision_track_id"],
)
def test_number_for_a_text_is_refused(name: str) -> None:
    error = refusal(**{name: 42})
    assert (error.field, error.fix) == (name, "Pass str(value) or None.")


def test_control_characters_are_removed() -> None:
    assert make(search_query="red\x00 shoes\udcff").search_query == "red shoes\ufffd"


@pytest.mark.parametrize("name", ["page_id", "referrer_page_id"])
def test_long_page_id_is_shortened(name: str) -> None:
    event = make(**{name: "https://shop.example/c/shoes?" + "x" * 200})
    assert getattr(event, name) == "https://shop.example/c/shoes"


@pytest.mark.parametrize("blank", [None, "", " "])
def test_search_without_query_is_refused(blank: str | None) -> None:
    error = refusal(EventType.SEARCH, search_query=blank)
    assert (error.field, error.rule) == ("search_query", "is required for SEARCH")
    assert error.fix == "Pass what the shopper searched for."


@pytest.mark.parametrize("blank", [None, "", " "])
def test_page_view_without_page_is_refused(blank: str | None) -> None:
    error = refusal(EventType.PAGE_VIEW, page_id=blank)
    assert (error.field, error.rule) == ("page_id", "is required for PAGE_VIEW")
    assert error.fix.startswith("Name the page")


@pytest.mark.parametrize("event_type", WITH_ITEMS)
def test_event_about_items_without_any_is_refused(event_type: EventType) -> None:
    error = refusal(event_type, items=())
    assert (error.field, error.rule) == ("items", f"are required for {event_type.value}")
    assert error.fix == "Pass at least one item."


def test_purchase_without_revenue_is_refused() -> None:
    error = refusal(EventType.PURCHASE, revenue=None)
    assert (error.field, error.rule) == ("revenue", "is required for PURCHASE")
    assert "sum of price times quantity" in error.fix


def test_items_from_any_iterable() -> None:
    assert make(items=(Item(name) for name in "ab")).items == (Item("a"), Item("b"))


@pytest.mark.parametrize("value", [Item("p"), None, 7])
def test_items_that_are_no_sequence_are_refused(value: object) -> None:
    error = refusal(items=value)
    assert (error.field, error.fix) == ("items", "Pass (item,).")


def test_element_that_is_no_item_is_refused() -> None:
    error = refusal(items=[Item("p"), "q"])
    assert (error.field, error.rule) == ("items[1]", "must be an Item, not str")
    assert error.fix == "Pass as_items(...)."


@pytest.mark.parametrize("name", ["price", "price_seller"])
def test_price_without_currency_is_refused(name: str) -> None:
    priced: dict[str, Any] = {name: Money(1)}
    error = refusal(items=(Item("p"), Item("q", **priced)))
    assert (error.field, error.rule) == (f"items[1].{name}.currency", "is missing")
    assert "MOLOCO_RMP['DEFAULT_CURRENCY']" in error.fix


@pytest.mark.parametrize("name", ["revenue", "shipping_charge"])
def test_money_without_currency_is_refused(name: str) -> None:
    error = refusal(**{name: Money(1)})
    assert (error.field, error.rule) == (f"{name}.currency", "is missing")
    assert "Money(amount, 'EUR')" in error.fix


@pytest.mark.parametrize("name", ["revenue", "shipping_charge"])
def test_bare_amount_is_refused(name: str) -> None:
    error = refusal(**{name: Decimal("19.90")})
    assert (error.field, error.rule) == (name, "must be Money, not Decimal")


@pytest.mark.parametrize("value", [None, {"os": "ios"}])
def test_device_of_another_type_is_refused(value: object) -> None:
    error = refusal(device=value)
    assert error.field == "device"
    assert error.fix.startswith("Pass Device(")


@pytest.mark.parametrize(
    ("os", "name"),
    [
        ("ios", "ios"),
        ("iOS", "ios"),
        ("apple ios 17", "ios"),
        ("iPadOS", "ios"),
        ("Android", "android"),
        ("ANDROID 14", "android"),
    ],
)
def test_os_of_an_app(os: str, name: str) -> None:
    event = make(channel_type=ChannelType.APP, device=Device(os=os, model="m"))
    assert event.device == Device(os=name, model="m")


@pytest.mark.parametrize("os", [None, "", "Windows", "iphone"])
def test_app_on_another_os_is_refused(os: str | None) -> None:
    error = refusal(channel_type=ChannelType.APP, device=Device(os=os))
    assert (error.field, error.rule) == (
        "device.os",
        "must contain ios or android for channel APP",
    )
    assert error.fix.startswith("Pass 'ios' or 'android'")


def test_os_of_a_site_is_left_alone() -> None:
    assert make(device=Device(os="Mac OS X")).device.os == "Mac OS X"


@pytest.mark.parametrize("name", [field.name for field in fields(Device)])
def test_blank_in_a_device_is_absent(name: str) -> None:
    assert Device(**{name: " "}) == Device()


@pytest.mark.parametrize("name", [field.name for field in fields(Device)])
def test_number_in_a_device_is_refused(name: str) -> None:
    arguments: dict[str, Any] = {name: 7}
    with pytest.raises(InvalidEventError, match="int") as caught:
        Device(**arguments)
    assert caught.value.field == f"device.{name}"


@pytest.mark.parametrize("name", ["persistent_id", "unique_device_id", "advertising_id"])
def test_device_id_over_128_characters_is_refused(name: str) -> None:
    with pytest.raises(InvalidEventError, match="129") as caught:
        Device(**{name: "x" * 129})
    assert caught.value.field == f"device.{name}"


def test_unique_device_id_is_mirrored() -> None:
    device = Device(unique_device_id="d")
    assert (device.unique_device_id, device.persistent_id) == ("d", "d")


def test_persistent_id_is_not_overwritten() -> None:
    assert Device(unique_device_id="d", persistent_id="p").persistent_id == "p"


@pytest.mark.parametrize(
    "value",
    ["00000000-0000-0000-0000-000000000000", "0" * 32, " 00000000-0000-0000-0000-000000000000 \n"],
)
def test_zero_advertising_id_is_refused(value: str) -> None:
    with pytest.raises(InvalidEventError, match="all-zero") as caught:
        Device(advertising_id=value)
    assert caught.value.field == "device.advertising_id"
    assert caught.value.fix.startswith("Leave it out")


@pytest.mark.parametrize("value", ["en-us", "EN", "e", "eng", "é1", "12", "ñu"])
def test_language_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(InvalidEventError, match="two lower-case letters") as caught:
        Device(language=value)
    assert (caught.value.field, caught.value.fix) == ("device.language", "Cut 'en-us' to 'en'.")


@pytest.mark.parametrize(
    "value",
    ["1192.158.1.38", "::1", "::ffff:1.2.3.4", "1.2.3", "1.2.3.4 ", "01.2.3.4", "1.2.3.4/8"],
)
def test_address_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(InvalidEventError, match="IPv4") as caught:
        Device(ip=value)
    assert (caught.value.field, caught.value.fix) == ("device.ip", "Leave IPv6 addresses out.")


def test_identifiers_are_in_no_repr() -> None:
    device = Device(
        persistent_id="secret-1",
        unique_device_id="secret-2",
        advertising_id="secret-3",
        ip="203.0.113.7",
        ua="secret-4",
    )
    event = make(user_id="secret-5", custom_id="secret-6", session_id="secret-7", device=device)
    assert "secret" not in repr(event)
    assert "203.0.113.7" not in repr(event)


def test_refused_identifier_is_in_no_error() -> None:
    assert "secret" not in str(refusal(user_id="secret" * 30))


def test_event_cannot_be_changed() -> None:
    event = make()
    with pytest.raises(FrozenInstanceError):
        event.user_id = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "value", [make(), Device(), Item("p")], ids=lambda value: type(value).__name__
)
def test_values_have_slots(value: object) -> None:
    assert not hasattr(value, "__dict__")


@given(strategies.event_arguments())
def test_valid_arguments_make_an_event(arguments: dict[str, Any]) -> None:
    event = Event(**arguments, now=NOW)
    assert (event.id, event.timestamp) == (arguments["id"], arguments["timestamp"])


@given(strategies.events)
def test_events_can_be_replaced_and_pickled(event: Event) -> None:
    assert replace(event, now=NOW) == event
    assert pickle.loads(pickle.dumps(event)) == event
    assert hash(event) == hash(replace(event, now=NOW))
