"""
What the User Event API says about a request body: the sandbox's own reading of the vendor's rules.

It shares nothing with the code that makes events, so that a mistake there does not repeat itself
here and pass. Two kinds of rules: those a source states of the server, always applied, and those
where we are tighter than any source, applied when ``strict``. The wording of
https://mcm-docs.moloco.com/docs/user-event-api-error-categories is used wherever it has one; all
other messages are ours.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, NoReturn

NO_IDENTIFIER = "no available valid identifier to construct Moloco advertising ID"
NO_SEARCH_QUERY = "missing search_query"
NO_PAGE_ID = "missing page_id"
NO_ITEM_ID = "invalid item: either id or item_group_id must be set"
BAD_TIMESTAMP = "invalid timestamp"
BAD_APP_OS = "device os must contain ios or android for the app channel type"

ITEM_TYPES = frozenset({"ITEM_PAGE_VIEW", "ADD_TO_CART", "ADD_TO_WISHLIST", "PURCHASE"})
EVENT_TYPES = ITEM_TYPES | {"HOME", "LAND", "PAGE_VIEW", "SEARCH"}
CHANNEL_TYPES = frozenset({"APP", "SITE", "DESKTOP_SITE", "MOBILE_SITE"})
PERSONALIZATION_MODES = frozenset({"STANDARD", "METRIC_ONLY", "ID_LESS"})
CURRENCIES = frozenset(
    {
        *("AED", "AUD", "BRL", "CAD", "CHF", "CNY", "DKK", "EUR", "GBP", "HKD", "IDR", "INR"),
        *("JPY", "KRW", "MYR", "PHP", "PLN", "RUB", "SEK", "SGD", "THB", "TRY", "USD", "VES"),
        "VND",
    }
)
NOT_USER_IDS = frozenset({"null", "undefined", "invalid", "nil"})
ZERO_ADVERTISING_ID = "00000000-0000-0000-0000-000000000000"
MAX_ID_LENGTH = 128
MAX_INT32 = 2**31 - 1

# Text fields, each with its greatest length in characters; None where there is no limit.
EVENT_TEXTS: Mapping[str, int | None] = {
    "id": MAX_ID_LENGTH,
    "user_id": MAX_ID_LENGTH,
    "custom_id": MAX_ID_LENGTH,
    "session_id": MAX_ID_LENGTH,
    "domain": None,
    "search_query": None,
    "page_id": None,
    "referrer_page_id": None,
    "decision_track_id": None,
}
DEVICE_TEXTS: Mapping[str, int | None] = {
    "os": None,
    "os_version": None,
    "model": None,
    "ua": None,
    "language": None,
    "persistent_id": MAX_ID_LENGTH,
    "unique_device_id": MAX_ID_LENGTH,
    "advertising_id": None,
    "ip": None,
}
ITEM_TEXTS: Mapping[str, int | None] = {"id": None, "item_group_id": None, "seller_id": None}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the server answers: an HTTP status, and why when it refuses."""

    status: int
    message: str = ""


def judge(body: bytes, now_ms: int, strict: bool = False) -> Verdict:
    """
    Return the answer to one request body: 200, or 400 with the first rule it breaks.

    ``now_ms`` is the server's time in milliseconds since the epoch. Never raises.
    """
    try:
        event = parse(body)
    except ValueError as error:
        return Verdict(400, f"the body is not JSON: {error}")
    if not isinstance(event, dict):
        return Verdict(400, "the body must be one JSON object: an event, not a list of them")
    problem = next(_problems(event, now_ms), None)
    if problem is None and strict:
        problem = next(_strict_problems(event), None)
    return Verdict(200) if problem is None else Verdict(400, problem)


def parse(body: bytes) -> Any:
    """
    Return the value of a JSON text in UTF-8; raise ValueError for anything else.

    A number that no double holds is refused, too: it would come out again as what is no JSON.
    """
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant, parse_float=_finite_float)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text if len(text) <= 20 else f'{text[:17]}...'} is out of range")
    return number


# The rules that some source states of the server. They come in an order in which each may rely
# on those before it.


def _problems(event: dict[str, Any], now_ms: int) -> Iterator[str]:
    yield from _enum_problems(event, "event_type", EVENT_TYPES)
    yield from _enum_problems(event, "channel_type", CHANNEL_TYPES)
    if event.get("personalization_mode") is not None:
        yield from _enum_problems(event, "personalization_mode", PERSONALIZATION_MODES)
    if not _is_past_millisecond(event.get("timestamp"), now_ms):
        yield BAD_TIMESTAMP
    yield from _shape_problems(event)
    yield from _identifier_problems(event)
    yield from _type_problems(event)
    yield from _device_problems(event)
    for field, money in _moneys(event):
        yield from _money_problems(field, money)
    for field, item in _items(event):
        yield from _quantity_problems(f"{field}.quantity", item.get("quantity"))


def _enum_problems(record: dict[str, Any], name: str, values: frozenset[str]) -> Iterator[str]:
    value = record.get(name)
    if value is None:
        yield f"missing {name}"
    elif not isinstance(value, str) or (value not in values and value != _zero_value(name)):
        yield f"invalid {name}: {_quote(value)} is none of {', '.join(sorted(values))}"


def _zero_value(name: str) -> str:
    """
    The name that protobuf gives to an enumeration left unset.

    A server may let it through; a client has no reason to send it.
    """
    return f"UNKNOWN_{name.upper()}"


def _is_past_millisecond(value: object, now_ms: int) -> bool:
    text = value if isinstance(value, str) else str(_whole(value))
    return re.fullmatch("[1-9][0-9]{12}", text) is not None and int(text) <= now_ms


def _shape_problems(event: dict[str, Any]) -> Iterator[str]:
    yield from _text_problems(event, "", EVENT_TEXTS)
    device = event.get("device")
    if isinstance(device, dict):
        yield from _text_problems(device, "device.", DEVICE_TEXTS)
    elif device is not None:
        yield "device: must be an object"
    items = event.get("items")
    if isinstance(items, list):
        for number, item in enumerate(items):
            if isinstance(item, dict):
                yield from _text_problems(item, f"items[{number}].", ITEM_TEXTS)
            else:
                yield f"items[{number}]: must be an object"
    elif items is not None:
        yield "items: must be an array of objects"


def _text_problems(
    record: dict[str, Any], path: str, limits: Mapping[str, int | None]
) -> Iterator[str]:
    for name, limit in limits.items():
        value = record.get(name)
        # Whether the server takes a number for a text is not known: that it must not is strict.
        if isinstance(value, bool | list | dict):
            yield f"{path}{name}: must be a string"
        elif limit is not None and len(_text(value)) > limit:
            yield f"{path}{name}: longer than {limit} characters"


def _identifier_problems(event: dict[str, Any]) -> Iterator[str]:
    if event.get("user_id") in NOT_USER_IDS:
        yield f"user_id: {_quote(event['user_id'])} is not an identifier"
    device = _device(event)
    # The last three are what the API took before custom_id and persistent_id; still documented
    # at https://rmp-docs.moloco.com/docs/integrate-events-data.
    candidates = (
        event.get("user_id"),
        device.get("persistent_id"),
        event.get("custom_id"),
        event.get("session_id"),
        device.get("unique_device_id"),
        device.get("advertising_id"),
    )
    if not any(map(_filled, candidates)):
        yield NO_IDENTIFIER
    if device.get("advertising_id") == ZERO_ADVERTISING_ID:
        yield "device.advertising_id: all zeros mean that the shopper limits ad tracking"


def _type_problems(event: dict[str, Any]) -> Iterator[str]:
    event_type = event["event_type"]
    if event_type == "SEARCH" and not _filled(event.get("search_query")):
        yield NO_SEARCH_QUERY
    if event_type == "PAGE_VIEW" and not _filled(event.get("page_id")):
        yield NO_PAGE_ID
    if event_type in ITEM_TYPES:
        if not event.get("items"):
            yield f"missing items: {event_type} needs at least one"
        for _, item in _items(event):
            if not _filled(item.get("id")) and not _filled(item.get("item_group_id")):
                yield NO_ITEM_ID


def _device_problems(event: dict[str, Any]) -> Iterator[str]:
    os = _text(_device(event).get("os")).lower()
    if event["channel_type"] == "APP" and "ios" not in os and "android" not in os:
        yield BAD_APP_OS


def _money_problems(field: str, money: object) -> Iterator[str]:
    if isinstance(money, dict):
        for problem in _enum_problems(money, "currency", CURRENCIES):
            yield f"{field}: {problem}"
        if not _is_number(money.get("amount")):
            yield f"{field}: missing amount, or not a number"
    else:
        yield f"{field}: must be an object with currency and amount"


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    # Python reads more as a number than JSON does: "inf", "1_000", digits of any script.
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _quantity_problems(field: str, value: object) -> Iterator[str]:
    if isinstance(value, str) and re.fullmatch("-?[0-9]{1,10}", value):
        value = int(value)
    if value is None:
        return
    number = _whole(value)
    if number is None or not -MAX_INT32 - 1 <= number <= MAX_INT32:
        yield f"{field}: must be a whole number of at most {MAX_INT32}"


# The rules where no source goes as far as we do.


def _strict_problems(event: dict[str, Any]) -> Iterator[str]:
    for name in ("event_type", "channel_type", "personalization_mode"):
        if event.get(name) == _zero_value(name):
            yield f"{name}: {event[name]} means that it is not set"
    yield from _strict_text_problems(event, "", EVENT_TEXTS)
    for name in ("page_id", "referrer_page_id"):
        if len(_text(event.get(name))) > MAX_ID_LENGTH:
            yield f"{name}: longer than {MAX_ID_LENGTH} characters"
    device = _device(event)
    yield from _strict_text_problems(device, "device.", DEVICE_TEXTS)
    if not re.fullmatch("[a-z]{2}", device.get("language", "en")):
        yield f"device.language: {_quote(device['language'])} is not two lower-case letters"
    if "ip" in device and not _is_ipv4(device["ip"]):
        yield f"device.ip: {_quote(device['ip'])} is not an IPv4 address"
    if event["event_type"] == "PURCHASE" and event.get("revenue") is None:
        yield "missing revenue"
    yield from _null_problems(
        event, "", ("device", "items", "revenue", "shipping_charge", "personalization_mode")
    )
    for field, money in _moneys(event):
        yield from _strict_money_problems(field, money)
    for field, item in _items(event):
        yield from _strict_text_problems(item, f"{field}.", ITEM_TEXTS)
        yield from _null_problems(item, f"{field}.", ("price", "price_seller", "quantity"))
        quantity = item.get("quantity", 1)
        if isinstance(quantity, str) or quantity < 1:
            yield f"{field}.quantity: must be a number from 1"


def _strict_text_problems(
    record: dict[str, Any], path: str, limits: Mapping[str, int | None]
) -> Iterator[str]:
    yield from _null_problems(record, path, limits)
    for name in limits:
        if not isinstance(record.get(name, ""), str):
            yield f"{path}{name}: must be a string"


def _null_problems(
    record: dict[str, Any], path: str, names: Mapping[str, int | None] | tuple[str, ...]
) -> Iterator[str]:
    for name in names:
        if name in record and record[name] is None:
            yield f"{path}{name}: null; leave the field out"


def _strict_money_problems(field: str, money: dict[str, Any]) -> Iterator[str]:
    if money["currency"] == _zero_value("currency"):
        yield f"{field}: {money['currency']} means that it is not set"
    if isinstance(money["amount"], str):
        yield f"{field}: amount must be a number, not a string"
    elif money["amount"] < 0:
        yield f"{field}: amount is negative"


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


# Reading a body whose parts may be missing, null or of another kind.


def _device(event: dict[str, Any]) -> dict[str, Any]:
    return event.get("device") or {}


def _items(event: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, item in enumerate(event.get("items") or ()):
        yield f"items[{number}]", item


def _moneys(event: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("revenue", "shipping_charge"):
        if event.get(name) is not None:
            yield name, event[name]
    for field, item in _items(event):
        for name in ("price", "price_seller"):
            if item.get(name) is not None:
                yield f"{field}.{name}", item[name]


def _whole(value: object) -> int | None:
    """The whole number that a JSON number stands for, 3.0 included; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _filled(value: object) -> bool:
    return bool(_text(value).strip())


def _quote(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
