""":func:`assert_event`: the event that a test expects, or a readable difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django_moloco_rmp.choices import choice
from django_moloco_rmp.conf import is_switched_off
from django_moloco_rmp.events import (
    ChannelType,
    Event,
    EventType,
    Item,
    Money,
    PersonalizationMode,
    as_items,
    shorten_page_id,
)
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.testing.capture import Dropped

Amount = Money | Decimal | int | str

#: What is not compared. None is a value: it says that there is nothing.
_ANY: Final[Any] = object()
_LISTED = 20
_MONEY = ("revenue", "shipping_charge")
_PAGES = ("page_id", "referrer_page_id")


@dataclass(frozen=True, slots=True)
class _Difference:
    path: str
    expected: str
    actual: str


def assert_event(
    events: Iterable[Event],
    event_type: EventType | str,
    *,
    items: Any = _ANY,
    revenue: Amount | None = _ANY,
    shipping_charge: Amount | None = _ANY,
    search_query: str | None = _ANY,
    page_id: str | None = _ANY,
    referrer_page_id: str | None = _ANY,
    decision_track_id: str | None = _ANY,
    event_id: str = _ANY,
    timestamp: datetime | int = _ANY,
    user_id: str | None = _ANY,
    persistent_id: str | None = _ANY,
    custom_id: str | None = _ANY,
    channel_type: ChannelType | str = _ANY,
    domain: str | None = _ANY,
    personalization_mode: PersonalizationMode | str | None = _ANY,
) -> Event:
    """
    Assert that there is an event of a type that has all the given values, and return the first::

        assert_event(events, "PURCHASE", items=order.lines.all(), revenue="39.80")

    The keywords are those of :func:`django_moloco_rmp.track`, and the hashed identifiers that
    ``request.moloco.identifiers()`` returns. What is left out is not compared; None says that the
    event has no such value.

    :param events: what ``capture_events()`` gave, or any other events
    :param items: all items of the event in their order: ids, Items, or whatever else there is an
        ``as_item`` adapter for. Of each only what it says is compared, of an id the id alone.
    :param revenue: an amount without a currency fits any currency
    :param shipping_charge: likewise
    :param timestamp: an aware datetime, or milliseconds since the epoch
    :raises AssertionError: there is none; the message shows the nearest one and what differs
    :raises InvalidEventError: what is expected could be part of no event
    """
    __tracebackhide__ = True
    kind = choice("event_type", EventType, event_type)
    given = {
        "items": items,
        "revenue": revenue,
        "shipping_charge": shipping_charge,
        "search_query": search_query,
        "page_id": page_id,
        "referrer_page_id": referrer_page_id,
        "decision_track_id": decision_track_id,
        "id": event_id,
        "timestamp": timestamp,
        "user_id": user_id,
        "device.persistent_id": persistent_id,
        "custom_id": custom_id,
        "channel_type": channel_type,
        "domain": domain,
        "personalization_mode": personalization_mode,
    }
    expected = {name: _expected(name, value) for name, value in given.items() if value is not _ANY}
    found = list(events)
    differing = [
        (number, list(_differences(event, expected)))
        for number, event in enumerate(found, start=1)
        if event.event_type is kind
    ]
    for number, differences in differing:
        if not differences:
            return found[number - 1]
    raise AssertionError(_message(kind, found, differing, getattr(events, "dropped", ())))


def _expected(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "items":
        return as_items(value)
    if name in _MONEY:
        return _money(name, value)
    if name in _PAGES:
        return shorten_page_id(value)
    if name == "timestamp" and isinstance(value, datetime):
        return int(value.timestamp() * 1000)
    return value


def _money(name: str, value: Amount) -> Money:
    try:
        return value if isinstance(value, Money) else Money(value)
    except InvalidEventError as error:
        raise error.under(name) from None


def _differences(event: Event, expected: Mapping[str, Any]) -> Iterator[_Difference]:
    for name, value in expected.items():
        if name == "items":
            yield from _item_differences(event.items, value or ())
            continue
        owner, _, attribute = name.rpartition(".")
        actual = getattr(event.device if owner else event, attribute)
        if not _fits(actual, value):
            yield _Difference(name, _show(value), _show(actual))


def _item_differences(actual: Sequence[Item], expected: Sequence[Item]) -> Iterator[_Difference]:
    if len(actual) != len(expected):
        yield _Difference("items", _show_items(expected), _show_items(actual))
        return
    for index, (there, wanted) in enumerate(zip(actual, expected, strict=True)):
        for each in fields(Item):
            value, found = getattr(wanted, each.name), getattr(there, each.name)
            if value is not None and not _fits(found, value):
                yield _Difference(f"items[{index}].{each.name}", _show(value), _show(found))


def _fits(actual: Any, expected: Any) -> bool:
    if isinstance(expected, Money) and expected.currency is None:
        return isinstance(actual, Money) and actual.amount == expected.amount
    return bool(actual == expected)


def _message(
    kind: EventType,
    events: Sequence[Event],
    differing: Sequence[tuple[int, Sequence[_Difference]]],
    dropped: Sequence[Dropped],
) -> str:
    lines = []
    if differing:
        number, differences = min(differing, key=lambda each: len(each[1]))
        lines.append(f"No {kind} event is as expected.")
        nearest = f"The nearest of {len(differing)} is" if len(differing) > 1 else "There is"
        lines.append(f"{nearest} number {number} below, which differs in:")
        for each in differences:
            lines += [f"  {each.path}", f"    expected: {each.expected}"]
            lines += [f"    actual:   {each.actual}"]
    elif events:
        lines.append(f"There is no {kind} event.")
    else:
        lines.append(f"There is no {kind} event: no event was reported at all.")
    if events:
        lines += ["Reported:", *_listed(list(map(_describe, events)))]
    elif is_switched_off():
        lines.append("MOLOCO_RMP['ENABLED'] is False, so nothing is reported.")
    if dropped:
        lines += ["Dropped:", *_listed([_describe_dropped(each) for each in dropped])]
    return "\n".join(lines)


def _listed(texts: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(texts[:_LISTED], start=1):
        yield f"  {number}. {text}"
    if len(texts) > _LISTED:
        yield f"  and {len(texts) - _LISTED} more"


def _describe(event: Event) -> str:
    parts: list[str] = [event.event_type]
    if event.page_id is not None:
        parts.append(f"on page {event.page_id!r}")
    if event.search_query is not None:
        parts.append(f"searching {event.search_query!r}")
    if event.items:
        parts.append(f"with {_show_items(event.items)}")
    if event.revenue is not None:
        parts.append(f"for {_show(event.revenue)}")
    return " ".join(parts)


def _describe_dropped(drop: Dropped) -> str:
    return f"{drop.event_type}: {drop.reason}{drop.detail and f' ({drop.detail})'}"


def _show(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Money):
        return f"{value.amount} {value.currency or ''}".rstrip()
    return repr(str(value)) if isinstance(value, str) else repr(value)


def _show_items(items: Sequence[Item]) -> str:
    if not items:
        return "no items"
    names = ", ".join(repr(item.id or item.item_group_id) for item in items[:_LISTED])
    more = ", ..." if len(items) > _LISTED else ""
    return f"{len(items)} item{'s' * (len(items) > 1)}: {names}{more}"
