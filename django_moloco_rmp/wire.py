"""
Events as the JSON text of a request body, and back.

Money is exact both ways: an amount is written as the shortest JSON number that stands for it,
and read as ``Decimal``. Body: https://rmp-docs.moloco.com/docs/integrate-events-data
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NoReturn

from django_moloco_rmp.events import MAX_ID_LENGTH, ChannelType, Device, Event, Item, Money
from django_moloco_rmp.exceptions import InvalidEventError

_TEXTS = (
    "user_id",
    "custom_id",
    "session_id",
    "domain",
    "search_query",
    "page_id",
    "referrer_page_id",
    "decision_track_id",
)
_DEVICE = (
    "os",
    "os_version",
    "model",
    "ua",
    "language",
    "persistent_id",
    "unique_device_id",
    "advertising_id",
    "ip",
)
_ITEM = ("id", "item_group_id", "price", "quantity", "seller_id", "price_seller")
# Not json.dumps(), which makes one for each body.
_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
# Only a key can match: inside of a JSON string each quote has a backslash before it.
_TIMESTAMP = re.compile(r'"timestamp":"([0-9]{13})"')


def to_wire(event: Event) -> dict[str, Any]:
    """
    Return the body as JSON types, without what is absent.

    The timestamp is a string of 13 digits. An amount is an int or a float; Money has made sure
    that the float stands for it exactly.
    """
    body: dict[str, Any] = {
        "id": event.id,
        "event_type": event.event_type.value,
        "timestamp": str(event.timestamp),
        "channel_type": event.channel_type.value,
        **_present(event, _TEXTS),
    }
    device = _present(event.device, _DEVICE)
    if device:
        body["device"] = device
    if event.items:
        body["items"] = [_item_to_wire(item) for item in event.items]
    if event.revenue is not None:
        body["revenue"] = _money_to_wire(event.revenue)
    if event.shipping_charge is not None:
        body["shipping_charge"] = _money_to_wire(event.shipping_charge)
    if event.personalization_mode is not None:
        body["personalization_mode"] = event.personalization_mode.value
    return body


def _present(of: Event | Device | Item, names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(of, name)) is not None}


def _item_to_wire(item: Item) -> dict[str, Any]:
    body = _present(item, _ITEM)
    for name in ("price", "price_seller"):
        if name in body:
            body[name] = _money_to_wire(body[name])
    return body


def _money_to_wire(money: Money) -> dict[str, Any]:
    whole = int(money.amount)
    return {
        "currency": money.currency,
        "amount": whole if whole == money.amount else float(money.amount),
    }


def dumps(event: Event) -> str:
    """Return the body as compact JSON in ASCII, which any database and any charset can hold."""
    return _ENCODER.encode(to_wire(event))


def loads(body: str | bytes | Mapping[str, Any], *, now: int | None = None) -> Event:
    """
    Return the event that a body stands for; ``loads(dumps(event)) == event``.

    Null and blank mean absent, unknown keys are ignored, and a timestamp may be an integer. What
    :class:`~django_moloco_rmp.events.Event` repairs for a shop, such as a page id that is too
    long, is refused: on the wire it is a fault.

    :param body: JSON text, or what it parses to
    :param now: milliseconds since the epoch, which the timestamp may not exceed; the system
        clock by default
    :raises InvalidEventError: it is no JSON object, or no valid event
    """
    data = _object("body", body if isinstance(body, Mapping) else _parse(body))
    device = {} if data.get("device") is None else _object("device", data["device"])
    _refuse_unfinished(data, device)
    return Event(
        event_type=data.get("event_type"),  # type: ignore[arg-type]
        timestamp=_timestamp(data.get("timestamp")),
        channel_type=data.get("channel_type"),  # type: ignore[arg-type]
        id=data.get("id"),  # type: ignore[arg-type]
        device=Device(**{name: device.get(name) for name in _DEVICE}),
        items=tuple(
            _item(f"items[{index}]", item) for index, item in enumerate(_array(data.get("items")))
        ),
        revenue=_money("revenue", data.get("revenue")),
        shipping_charge=_money("shipping_charge", data.get("shipping_charge")),
        personalization_mode=data.get("personalization_mode"),
        now=now,
        **{name: data.get(name) for name in _TEXTS},
    )


def clamp_timestamp(body: str, now: int) -> str:
    """
    Return a body whose timestamp is at most ``now``, for a local clock that was ahead.

    :param body: what :func:`dumps` returned
    :param now: milliseconds since the epoch
    :returns: ``body`` itself when there is nothing to change
    """
    match = _TIMESTAMP.search(body)
    if match is None or int(match[1]) <= now:
        return body
    return f"{body[: match.start(1)]}{now}{body[match.end(1) :]}"


def _parse(body: str | bytes) -> object:
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidEventError("body", "is not JSON", "Pass a JSON object.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _object(field: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidEventError(
            field, f"must be a JSON object, not {type(value).__name__}", "Pass an object."
        )
    return value


def _array(value: object) -> list[Any] | tuple[Any, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise InvalidEventError(
            "items", f"must be a JSON array, not {type(value).__name__}", "Pass an array."
        )
    return value


def _refuse_unfinished(data: Mapping[str, Any], device: Mapping[str, Any]) -> None:
    for name in ("page_id", "referrer_page_id"):
        value = data.get(name)
        if isinstance(value, str) and len(value) > MAX_ID_LENGTH:
            raise InvalidEventError(
                name,
                f"is {len(value)} characters long, more than {MAX_ID_LENGTH}",
                "Pass shorten_page_id(value).",
            )
    os = device.get("os")
    if data.get("channel_type") == ChannelType.APP and isinstance(os, str):
        name = os.casefold()
        if "ios" not in name and "android" not in name:
            raise InvalidEventError(
                "device.os", "must contain ios or android for channel APP", "Write 'ios'."
            )


def _timestamp(value: Any) -> Any:
    # Event counts the digits. What else int() would take, such as "1_617", is kept away here.
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,19}", value):
        return int(value)
    return value


def _item(path: str, value: object) -> Item:
    item = _object(path, value)
    try:
        return Item(
            item.get("id"),
            item_group_id=item.get("item_group_id"),
            price=_money("price", item.get("price")),
            quantity=item.get("quantity"),
            seller_id=item.get("seller_id"),
            price_seller=_money("price_seller", item.get("price_seller")),
        )
    except InvalidEventError as error:
        raise error.under(path) from None


def _money(field: str, value: object) -> Money | None:
    if value is None:
        return None
    money = _object(field, value)
    amount = money.get("amount")
    if isinstance(amount, float):
        # From a parser without Decimal: the shortest text of a double is what was written.
        amount = Decimal(repr(amount))
    if isinstance(amount, str):
        raise InvalidEventError(
            f"{field}.amount", "must be a JSON number, not a string", "Remove the quotes."
        )
    try:
        return Money(amount, money.get("currency"))  # type: ignore[arg-type]
    except InvalidEventError as error:
        raise error.under(field) from None
