"""
A shopper's event, complete and valid from birth: :class:`Event`.

What the API would refuse is refused here, where the caller stands, with an error that names the
field, the rule and the fix. Rules: https://mcm-docs.moloco.com/docs/user-event-data-specifications
and https://mcm-docs.moloco.com/docs/user-event-api-error-categories
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import InitVar, dataclass, field, fields, replace

from django_moloco_rmp.choices import ChannelType, EventType, PersonalizationMode, choice
from django_moloco_rmp.event_ids import new_event_id, require_event_id
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.items import Item, as_item, as_items, total
from django_moloco_rmp.money import CURRENCIES, Money, require_money
from django_moloco_rmp.text import (
    MAX_ID_LENGTH,
    clean,
    is_ipv4,
    optional_text,
    set_texts,
    shorten_page_id,
)

__all__ = [
    "CURRENCIES",
    "MAX_ID_LENGTH",
    "RESERVED_USER_IDS",
    "ChannelType",
    "Device",
    "Event",
    "EventType",
    "Item",
    "Money",
    "PersonalizationMode",
    "as_item",
    "as_items",
    "clean",
    "new_event_id",
    "shorten_page_id",
    "total",
]


#: What broken code sends for a shopper who is not signed in; compared without case. The first
#: four are the API's own list, the last is what Python makes of a missing value.
RESERVED_USER_IDS = frozenset({"null", "undefined", "invalid", "nil", "none"})

_WITH_ITEMS = frozenset(
    {
        EventType.ITEM_PAGE_VIEW,
        EventType.ADD_TO_CART,
        EventType.ADD_TO_WISHLIST,
        EventType.PURCHASE,
    }
)
_IDENTIFIERS = frozenset({"persistent_id", "unique_device_id", "advertising_id"})
_TEXTS = (
    *((name, name, MAX_ID_LENGTH) for name in ("user_id", "custom_id", "session_id")),
    *((name, name, None) for name in ("domain", "search_query", "decision_track_id")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """
    The shopper's device; every value is a ``str`` or None, and blank counts as absent.

    :param os: name of the operating system
    :param os_version: its version
    :param model: model of the device
    :param ua: the user agent header
    :param language: two lower-case letters (ISO 639-1)
    :param persistent_id: hashed first-party browser or device id
    :param unique_device_id: older name of persistent_id, which takes its value when missing
    :param advertising_id: deprecated by the API; never the all-zero one
    :param ip: IPv4 address, dotted
    :raises InvalidEventError: a value breaks its rule
    """

    os: str | None = None
    os_version: str | None = None
    model: str | None = None
    ua: str | None = field(default=None, repr=False)
    language: str | None = None
    persistent_id: str | None = field(default=None, repr=False)
    unique_device_id: str | None = field(default=None, repr=False)
    advertising_id: str | None = field(default=None, repr=False)
    ip: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        set_texts(self, _DEVICE_TEXTS)
        if self.persistent_id is None:
            object.__setattr__(self, "persistent_id", self.unique_device_id)
        if self.advertising_id is not None and not self.advertising_id.strip().strip("0-"):
            raise InvalidEventError(
                "device.advertising_id", "is the all-zero id", "Leave it out: tracking is limited."
            )
        if self.language is not None and not _is_language(self.language):
            raise InvalidEventError(
                "device.language",
                "must be two lower-case letters (ISO 639-1)",
                "Cut 'en-us' to 'en'.",
            )
        if self.ip is not None:
            _check_ip(self.ip)


# Not asked of the class for each event, which takes longer than all else here.
_DEVICE_TEXTS = tuple(
    (each.name, f"device.{each.name}", MAX_ID_LENGTH if each.name in _IDENTIFIERS else None)
    for each in fields(Device)
)


def _is_language(value: str) -> bool:
    return len(value) == 2 and value.isascii() and value.isalpha() and value.islower()


def _check_ip(value: str) -> None:
    if not is_ipv4(value):
        raise InvalidEventError(
            "device.ip", "is not a dotted IPv4 address", "Leave IPv6 addresses out."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One event, as it will be sent.

    Blank texts become None, control characters go, long page ids are shortened, the older names
    of identifiers are mirrored to the current ones, and the ``os`` of an app becomes ``ios`` or
    ``android``.

    :param event_type: also as its ``str`` value
    :param timestamp: when it happened, milliseconds since the epoch
    :param channel_type: also as its ``str`` value
    :param id: unique per event and kept when it is sent again, at most 128 characters
    :param user_id: hashed id of a signed-in shopper, else None
    :param custom_id: hashed id of third choice, say of the session
    :param session_id: older name of custom_id, which takes its value when missing
    :param domain: domain of the shop
    :param device: see :class:`Device`
    :param items: required for ITEM_PAGE_VIEW, ADD_TO_CART, ADD_TO_WISHLIST and PURCHASE
    :param revenue: sum of price times quantity; required for PURCHASE
    :param shipping_charge: not part of revenue
    :param search_query: required for SEARCH
    :param page_id: the page it happened on; required for PAGE_VIEW
    :param referrer_page_id: the page the shopper came from
    :param decision_track_id: ``track_id`` of the Decision API result that led here
    :param personalization_mode: also as its ``str`` value; None leaves it to the platform
    :param now: milliseconds since the epoch, which the timestamp may not exceed; the system
        clock by default
    :raises InvalidEventError: a value breaks its rule
    """

    event_type: EventType
    timestamp: int
    channel_type: ChannelType
    id: str
    user_id: str | None = field(default=None, repr=False)
    custom_id: str | None = field(default=None, repr=False)
    session_id: str | None = field(default=None, repr=False)
    domain: str | None = None
    device: Device = field(default_factory=Device)
    items: tuple[Item, ...] = ()
    revenue: Money | None = None
    shipping_charge: Money | None = None
    search_query: str | None = None
    page_id: str | None = None
    referrer_page_id: str | None = None
    decision_track_id: str | None = None
    personalization_mode: PersonalizationMode | None = None
    now: InitVar[int | None] = None

    def __post_init__(self, now: int | None) -> None:
        self._set("event_type", choice("event_type", EventType, self.event_type))
        self._set("channel_type", choice("channel_type", ChannelType, self.channel_type))
        if self.personalization_mode is not None:
            mode = choice("personalization_mode", PersonalizationMode, self.personalization_mode)
            self._set("personalization_mode", mode)
        _check_timestamp(self.timestamp, time.time_ns() // 1_000_000 if now is None else now)
        self._set("id", require_event_id(self.id))
        set_texts(self, _TEXTS)
        for name in ("page_id", "referrer_page_id"):
            value = getattr(self, name)
            if value is not None:
                page = optional_text(name, value)
                self._set(name, page and shorten_page_id(page))
        _check_device(self.device)
        self._set("items", _items(self.items))
        for name in ("revenue", "shipping_charge"):
            value = getattr(self, name)
            require_money(name, value)
            _require_currency(name, value)
        self._check_identifiers()
        self._check_app()
        self._check_type()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_identifiers(self) -> None:
        if self.user_id is not None and self.user_id.strip().casefold() in RESERVED_USER_IDS:
            raise InvalidEventError(
                "user_id",
                "is a placeholder, not an id",
                "Leave user_id out for a shopper who is not signed in.",
            )
        if self.custom_id is None:
            self._set("custom_id", self.session_id)
        # Session and unique device id are mirrored to the others by now.
        if not (
            self.user_id
            or self.custom_id
            or self.device.persistent_id
            or self.device.advertising_id
        ):
            raise InvalidEventError(
                "user_id",
                "is missing, and so is any other identifier",
                "Pass device.persistent_id (and user_id when signed in), or else custom_id.",
            )

    def _check_app(self) -> None:
        if self.channel_type is not ChannelType.APP:
            return
        os = (self.device.os or "").casefold()
        if "android" in os:
            name = "android"
        elif "ios" in os or "ipados" in os:
            name = "ios"
        else:
            raise InvalidEventError(
                "device.os",
                "must contain ios or android for channel APP",
                "Pass 'ios' or 'android', or channel SITE for a website.",
            )
        self._set("device", replace(self.device, os=name))

    def _check_type(self) -> None:
        if self.event_type is EventType.SEARCH and self.search_query is None:
            raise InvalidEventError(
                "search_query", "is required for SEARCH", "Pass what the shopper searched for."
            )
        if self.event_type is EventType.PAGE_VIEW and self.page_id is None:
            raise InvalidEventError(
                "page_id", "is required for PAGE_VIEW", "Name the page, as in 'CATEGORY:shoes'."
            )
        if self.event_type in _WITH_ITEMS and not self.items:
            raise InvalidEventError(
                "items", f"are required for {self.event_type}", "Pass at least one item."
            )
        if self.event_type is EventType.PURCHASE and self.revenue is None:
            raise InvalidEventError(
                "revenue",
                "is required for PURCHASE",
                "Pass the sum of price times quantity, as in Money('19.90', 'EUR').",
            )


# A count of the right unit has 13 digits from September 2001 until the year 2286.
_UNITS = {"seconds": 10**9, "microseconds": 10**15, "nanoseconds": 10**18}


def _check_timestamp(value: object, now: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidEventError(
            "timestamp",
            f"must be an int of milliseconds, not {type(value).__name__}",
            "Pass int(moment.timestamp() * 1000).",
        )
    if not 10**12 <= value < 10**13:
        unit = next((unit for unit, low in _UNITS.items() if low <= value < 10 * low), None)
        raise InvalidEventError(
            "timestamp",
            f"looks like {unit}" if unit else "is not a 13-digit count of milliseconds",
            "Pass milliseconds since the epoch: int(time.time() * 1000).",
        )
    if value > now:
        raise InvalidEventError(
            "timestamp", "is in the future", "Pass the moment at which the event happened."
        )


def _check_device(value: object) -> None:
    if not isinstance(value, Device):
        raise InvalidEventError(
            "device",
            f"must be a Device, not {type(value).__name__}",
            "Pass Device(os=..., persistent_id=...).",
        )


def _items(value: object) -> tuple[Item, ...]:
    if not isinstance(value, Iterable):
        raise InvalidEventError(
            "items", f"must be a sequence of Item, not {type(value).__name__}", "Pass (item,)."
        )
    items = tuple(value)
    for index, item in enumerate(items):
        if not isinstance(item, Item):
            raise InvalidEventError(
                f"items[{index}]",
                f"must be an Item, not {type(item).__name__}",
                "Pass as_items(...).",
            )
        for name in ("price", "price_seller"):
            money = getattr(item, name)
            if money is not None:
                _require_currency(f"items[{index}].{name}", money)
    return items


def _require_currency(path: str, money: Money | None) -> None:
    if money is not None and money.currency is None:
        raise InvalidEventError(
            f"{path}.currency",
            "is missing",
            "Pass Money(amount, 'EUR') or set MOLOCO_RMP['DEFAULT_CURRENCY'].",
        )
