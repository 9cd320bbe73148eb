"""What the sandbox received, as a table, and whether it is what the walk did."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from demo.browser import USER_AGENT
from demo.walk import Expected

_HASH = re.compile(r"[0-9a-f]{64}")
_IDENTIFIERS = ("user_id", "custom_id", "session_id")

Call = Any  # one entry of SandboxServer.events()
Cell = tuple[str, ...]  # its lines
Row = tuple[Cell, ...]

_GAP = "  "
_EVENT, _PAGE, _REFERRER = ("event",), ("page",), ("came from",)
_PAGE_AND_REFERRER = ("page", "< came from")
_GOODS_CELL = ("items, revenue", "+ shipping")
_USER, _BROWSER, _STATUS = ("user",), ("browser",), ("status",)
# What is shown, from the widest table to the narrowest.
_HEADS: tuple[Row, ...] = (
    (_EVENT, _PAGE, _REFERRER, _GOODS_CELL, _USER, _BROWSER, _STATUS),
    (_EVENT, _PAGE, _REFERRER, _GOODS_CELL, _STATUS),
    (_EVENT, _PAGE_AND_REFERRER, _GOODS_CELL, _STATUS),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to hold, and what speaks against it."""

    name: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which call belongs to which step of the walk, and what belongs to none."""

    pairs: tuple[tuple[Expected, Call], ...]
    missing: tuple[Expected, ...]
    surplus: tuple[Call, ...]

    @property
    def calls(self) -> list[Call]:
        return [call for _, call in self.pairs] + list(self.surplus)


def match(expected: Sequence[Expected], calls: Sequence[Call]) -> Outcome:
    """Find the call for each expected event: of its type, at its time."""
    left = sorted(calls, key=lambda call: str(_body(call).get("timestamp")))
    pairs, missing = [], []
    for event in expected:
        for index, call in enumerate(left):
            body = _body(call)
            moment = str(body.get("timestamp"))
            if (
                body.get("event_type") == event.event_type
                and moment.isdecimal()
                and event.since <= int(moment) <= event.until
            ):
                pairs.append((event, left.pop(index)))
                break
        else:
            missing.append(event)
    return Outcome(tuple(pairs), tuple(missing), tuple(left))


def check(outcome: Outcome, raw: dict[str, str]) -> list[Check]:
    """Compare what arrived with the walk, strictly. ``raw``: what no event may hold, by name."""
    pairs, calls = outcome.pairs, outcome.calls
    wanted = len(pairs) + len(outcome.missing)
    return [
        Check(f"all {wanted} events arrived, each when it happened", tuple(_arrivals(outcome))),
        Check("each was accepted at the first try", tuple(_refusals(calls))),
        Check("none came twice, and the order carries its own id", tuple(_ids(pairs, calls))),
        Check(
            "types, pages and referrers are those of the walk", tuple(_differences(pairs, False))
        ),
        Check("items, prices, revenue and shipping are exact", tuple(_differences(pairs, True))),
        Check(
            "one browser all along, and one user, but only while signed in", tuple(_people(pairs))
        ),
        Check("the device is the shopper's, in the bank's webhook too", tuple(_devices(pairs))),
        Check("no personal data, and no raw identifier", tuple(_leaks(calls, raw))),
    ]


def _arrivals(outcome: Outcome) -> Iterator[str]:
    for event in outcome.missing:
        yield f"{event.event_type} on {event.page} is missing"
    for call in outcome.surplus:
        body = _body(call)
        yield f"{body.get('event_type')} on {body.get('page_id')} belongs to nothing in the walk"


def _refusals(calls: Sequence[Call]) -> Iterator[str]:
    for call in calls:
        if call["status"] != 200:
            yield f"{_body(call).get('event_type')} was answered {call['status']}"


def _ids(pairs: Sequence[tuple[Expected, Call]], calls: Sequence[Call]) -> Iterator[str]:
    seen: set[Any] = set()
    for call in calls:
        event_id = _body(call).get("id")
        if event_id in seen:
            yield f"{event_id} came more than once"
        seen.add(event_id)
    for event, call in pairs:
        if event.id is not None and _body(call).get("id") != event.id:
            yield f"{event.event_type} has id {_body(call).get('id')} instead of {event.id}"


_GOODS = {"items", "revenue", "shipping_charge"}
_OTHERS = {"id", "timestamp", "device", *_IDENTIFIERS}


def _differences(pairs: Sequence[tuple[Expected, Call]], goods: bool) -> Iterator[str]:
    for event, call in pairs:
        wanted, found = event.body(), _exact(_body(call))
        for key in sorted((wanted.keys() | found.keys()) - _OTHERS):
            if (key in _GOODS) is goods and wanted.get(key) != found.get(key):
                yield (
                    f"{event.event_type} on {event.page}: {key} is {_text(found.get(key))}"
                    f" instead of {_text(wanted.get(key))}"
                )


def _people(pairs: Sequence[tuple[Expected, Call]]) -> Iterator[str]:
    browsers = {_device(call).get("persistent_id") for _, call in pairs}
    users = {_body(call).get("user_id") for event, call in pairs if event.is_signed_in}
    for name, ids in (("browser", browsers), ("user", users)):
        if len(ids) != 1:
            yield f"there are {len(ids)} different {name} ids"
        if not all(isinstance(each, str) and _HASH.fullmatch(each) for each in ids):
            yield f"a {name} id is no hash"
    for event, call in pairs:
        if not event.is_signed_in and "user_id" in _body(call):
            yield f"{event.event_type} on {event.page} has a user while nobody is signed in"
        for name in ("custom_id", "session_id"):
            if name in _body(call):
                yield f"{event.event_type} on {event.page} has a {name}, which is not needed"


def _devices(pairs: Sequence[tuple[Expected, Call]]) -> Iterator[str]:
    wanted = {
        "os": "Windows",
        "os_version": "10",
        "ua": USER_AGENT,
        "language": "en",
        "ip": "127.0.0.1",
    }
    for event, call in pairs:
        found = {key: value for key, value in _device(call).items() if key != "persistent_id"}
        if found != wanted:
            yield f"{event.event_type} on {event.page}: the device is {_text(found)}"


def _leaks(calls: Sequence[Call], raw: dict[str, str]) -> Iterator[str]:
    for call in calls:
        body = _body(call)
        texts = [text.casefold() for text in _texts(body)]
        for name, value in raw.items():
            # A short one, such as a customer number, is part of many a harmless text.
            short = len(value) < 5
            leaked = (value.casefold() == t if short else value.casefold() in t for t in texts)
            if any(leaked):
                yield f"{body.get('event_type')} on {body.get('page_id')} holds the {name}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


def _exact(value: Any) -> Any:
    """The same with Decimals for floats: 79.9 is 79.90, and 79.89999 is not."""
    if isinstance(value, dict):
        return {key: _exact(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_exact(each) for each in value]
    return Decimal(repr(value)) if isinstance(value, float) else value


def _text(value: Any) -> str:
    return json.dumps(value, default=str) if value is not None else "absent"


def _body(call: Call) -> dict[str, Any]:
    return call["body"] if isinstance(call["body"], dict) else {}


def _device(call: Call) -> dict[str, Any]:
    return _body(call).get("device", {})


def table(outcome: Outcome, width: int) -> list[str]:
    """
    Return the lines of a table of the calls, in the order of the walk.

    :param width: characters that a line may take; if they do not do, page ids are shortened
    """
    for head in _HEADS:
        rows = [head, *(_row(head, call) for call in outcome.calls)]
        widths = [
            max(len(line) for cell in column for line in cell) for column in zip(*rows, strict=True)
        ]
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        if excess <= 0:
            break
    else:
        page = head.index(_PAGE_AND_REFERRER)
        widths[page] = max(12, widths[page] - excess)
    lines = [line for row in rows for line in _lines(row, widths)]
    height = max(len(cell) for cell in head)
    return [*lines[:height], "-" * max(map(len, lines)), *lines[height:]]


def _lines(row: Row, widths: Sequence[int]) -> Iterator[str]:
    for parts in zip_longest(*row, fillvalue=""):
        cells = (_fit(part, width) for part, width in zip(parts, widths, strict=True))
        yield _GAP.join(cells).rstrip()


def _row(head: Row, call: Call) -> Row:
    body = _body(call)
    page, referrer = str(body.get("page_id", "-")), str(body.get("referrer_page_id", ""))
    cells = {
        _EVENT: (str(body.get("event_type", "?")),),
        _PAGE: (page,),
        _REFERRER: (referrer,),
        _PAGE_AND_REFERRER: (page, f"< {referrer}") if referrer else (page,),
        _GOODS_CELL: tuple(_goods(body)),
        _USER: (str(body.get("user_id", ""))[:8],),
        _BROWSER: (str(_device(call).get("persistent_id", ""))[:8],),
        _STATUS: (str(call["status"]),),
    }
    return tuple(cells[name] for name in head)


def _goods(body: dict[str, Any]) -> Iterator[str]:
    if "search_query" in body:
        yield f'"{body["search_query"]}"'
    for item in body.get("items", []):
        quantity = f"{item['quantity']} x " if "quantity" in item else ""
        yield f"{quantity}{item.get('id')}"
    if "revenue" in body:
        shipping = f" + {_money(body['shipping_charge'])}" if "shipping_charge" in body else ""
        yield _money(body["revenue"]) + shipping


def _money(money: dict[str, Any]) -> str:
    return f"{Decimal(repr(money['amount'])):.2f}"


def _fit(text: str, width: int) -> str:
    return (text if len(text) <= width else text[: width - 1] + "~").ljust(width)
