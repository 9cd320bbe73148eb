"""Hypothesis strategies for what a shop may hand to the package."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from django_moloco_rmp.events import (
    CURRENCIES,
    RESERVED_USER_IDS,
    ChannelType,
    Device,
    Event,
    EventType,
    Item,
    Money,
    PersonalizationMode,
    clean,
)
from django_moloco_rmp.money import WHOLE_CURRENCIES

#: The moment these events are looked at, in milliseconds; they happened before it.
NOW = 1_800_000_000_000


def _is_filled(text: str) -> bool:
    return bool(clean(text).strip())


#: Any text, with control characters, unpaired surrogates and all.
any_text = st.text(st.characters(exclude_categories=[]), max_size=300)
filled_text = any_text.filter(_is_filled)
#: Texts that are valid identifiers.
identifiers = st.text(min_size=1, max_size=128).filter(
    lambda text: _is_filled(text) and text.strip().casefold() not in RESERVED_USER_IDS
)
event_ids = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=128)
amounts = st.one_of(
    st.integers(0, 2**53),
    st.decimals(0, 10**9, places=2),
    st.decimals(0, 10**9, places=2).map(str),
    # Every double there is, written as the shortest decimal that stands for it.
    st.floats(0, 2**53).map(lambda number: Decimal(repr(number))),
)
currencies = st.sampled_from(sorted(CURRENCIES))
money = st.builds(Money, amounts, currencies.filter(lambda code: code not in WHOLE_CURRENCIES))
money |= st.builds(Money, st.integers(0, 2**53), currencies)
items = st.builds(
    Item,
    filled_text,
    item_group_id=st.none() | any_text,
    price=st.none() | money,
    quantity=st.none() | st.integers(1, 2**31 - 1),
    seller_id=st.none() | any_text,
    price_seller=st.none() | money,
) | st.builds(Item, item_group_id=filled_text)
devices = st.builds(
    Device,
    os=st.none() | any_text,
    os_version=st.none() | any_text,
    model=st.none() | any_text,
    ua=st.none() | any_text,
    language=st.none() | st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=2),
    persistent_id=st.none() | identifiers,
    unique_device_id=st.none() | identifiers,
    advertising_id=st.none() | st.uuids().filter(lambda uuid: uuid.int > 0).map(str),
    ip=st.none() | st.ip_addresses(v=4).map(str),
)


@st.composite
def event_arguments(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments with which ``Event(**arguments, now=NOW)`` is valid."""
    event_type = draw(st.sampled_from(EventType))
    channel_type = draw(st.sampled_from(ChannelType))
    device: dict[str, Any] = {
        name: getattr(draw(devices), name)
        for name in ("os", "os_version", "model", "ua", "language", "persistent_id", "ip")
    }
    if channel_type is ChannelType.APP:
        device["os"] = draw(st.sampled_from(["ios", "Android", "iOS 17", "iPadOS"]))
    arguments: dict[str, Any] = {
        "event_type": event_type,
        "timestamp": draw(st.integers(10**12, NOW)),
        "channel_type": channel_type,
        "id": draw(event_ids),
        "user_id": draw(st.none() | identifiers),
        "custom_id": draw(identifiers),
        "session_id": draw(st.none() | identifiers),
        "domain": draw(st.none() | any_text),
        "device": Device(**device),
        "items": tuple(draw(st.lists(items, min_size=1, max_size=3))),
        "revenue": draw(money),
        "shipping_charge": draw(st.none() | money),
        "search_query": draw(filled_text),
        "page_id": draw(filled_text),
        "referrer_page_id": draw(st.none() | any_text),
        "decision_track_id": draw(st.none() | any_text),
        "personalization_mode": draw(st.none() | st.sampled_from(PersonalizationMode)),
    }
    needed = {
        EventType.SEARCH: {"search_query"},
        EventType.PAGE_VIEW: {"page_id"},
        EventType.ITEM_PAGE_VIEW: {"items"},
        EventType.ADD_TO_CART: {"items"},
        EventType.ADD_TO_WISHLIST: {"items"},
        EventType.PURCHASE: {"items", "revenue"},
    }.get(event_type, set())
    for name in ("items", "revenue", "search_query", "page_id"):
        if name not in needed and draw(st.booleans()):
            del arguments[name]
    # One identifier is enough, whichever it is.
    if any((arguments["user_id"], arguments["session_id"], arguments["device"].persistent_id)):
        arguments["custom_id"] = draw(st.none() | st.just(arguments["custom_id"]))
    return arguments


#: Valid events that happened before NOW.
events = event_arguments().map(lambda arguments: Event(**arguments, now=NOW))
