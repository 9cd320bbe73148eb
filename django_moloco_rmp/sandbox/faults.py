"""Scripted faults: what the sandbox does to the next calls instead of answering them properly."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import Any

from django_moloco_rmp.sandbox.answers import THROTTLED, Answer, error_answer

#: The longest a fault may hold an answer back, in seconds.
MAX_DELAY = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    One scripted fault. Made by :func:`parse_fault`.

    ``status``: answer with it, and leave the event unaccepted unless it is 2xx.
    ``retry_after``, ``body``: the header and the body of that answer.
    ``delay``: hold the answer back so many seconds; what it says is decided, and recorded, before.
    ``drop``: close the connection without an answer, ``"before"`` or ``"after"`` accepting.
    ``count``: how many calls are left to meet it; None for every call until it is deleted.
    ``event_type``, ``id``: only calls whose event has this type and id meet it.
    """

    status: int | None = None
    retry_after: str | None = None
    body: Any = None
    delay: float = 0
    drop: str | None = None
    count: int | None = 1
    event_type: str | None = None
    id: str | None = None

    def meets(self, event: object) -> bool:
        """Tell whether a call with this parsed body meets the fault."""
        found = event if isinstance(event, dict) else {}
        return all(
            wanted is None or wanted == found.get(name)
            for name, wanted in (("event_type", self.event_type), ("id", self.id))
        )

    def answer(self) -> Answer | None:
        """Return the answer the fault puts in place of the proper one, if it does."""
        if self.status is None:
            return None
        message = THROTTLED if self.status == 429 else f"scripted fault: {_phrase(self.status)}"
        answer = error_answer(self.status, message)
        if self.retry_after is not None:
            answer = replace(answer, headers={"Retry-After": self.retry_after})
        if isinstance(self.body, str):
            return replace(answer, body=self.body.encode(), content_type="text/plain")
        if self.body is not None:
            return replace(answer, body=json.dumps(self.body).encode())
        return replace(answer, body=b"{}") if self.status < 300 else answer

    @property
    def manner(self) -> str:
        """What becomes of the answer, whatever it says; empty if it leaves at once."""
        waits = f"held back for {self.delay:g} s" if self.delay else ""
        drops = f"connection dropped {self.drop} accepting" if self.drop else ""
        return ", ".join(filter(None, (waits, drops)))

    @property
    def title(self) -> str:
        """The fault in a few words, for people."""
        return ", ".join(filter(None, (_phrase(self.status), self.manner)))

    def as_dict(self) -> dict[str, Any]:
        """Return what is set, in the form :func:`parse_fault` reads."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name == "count" or (value is not None and value != 0)
        }


def _phrase(status: int | None) -> str:
    if status is None:
        return ""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def parse_fault(value: object) -> Fault:
    """Read a fault from its JSON form; raise ValueError, naming key and rule, for a bad one."""
    if not isinstance(value, Mapping):
        raise ValueError('a fault is an object such as {"status": 503, "count": 5}')
    for name in value:
        if name not in _KEYS:
            raise ValueError(f"{name}: no such key; there are {', '.join(_KEYS)}")
    fault = Fault(**{name: _KEYS[name](name, value[name]) for name in value})
    if fault.status is None and fault.drop is None and not fault.delay:
        raise ValueError("a fault needs one of status, delay and drop")
    if fault.drop is not None and fault.status is not None:
        raise ValueError("drop: a dropped connection has no answer; leave status out")
    if fault.status is None and (fault.retry_after is not None or fault.body is not None):
        raise ValueError("retry_after and body belong to an answer: give its status too")
    return fault


def _status(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise ValueError(f"{name}: must be a whole number from 200 to 599")
    return value


def _retry_after(name: str, value: object) -> str:
    """Seconds, or any text of a header: clients have to live with nonsense, too."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:g}" if math.isfinite(value) else ""
    if not isinstance(value, str) or not re.fullmatch("[!-~]([ -~]{0,98}[!-~])?", value):
        raise ValueError(f"{name}: must be seconds, or up to 100 printable ASCII characters")
    return value


def _body(name: str, value: object) -> object:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name}: must be JSON ({error})") from None
    return value


def _delay(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_DELAY:
        raise ValueError(f"{name}: must be seconds, from 0 to {MAX_DELAY}")
    return value


def _drop(name: str, value: object) -> str:
    if value not in ("before", "after"):
        raise ValueError(f'{name}: must be "before" or "after", which says when: accepting it')
    return str(value)


def _count(name: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: must be a whole number from 1, or null for no end")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name}: must be a string")
    return value


_KEYS: Mapping[str, Callable[[str, object], Any]] = {
    "status": _status,
    "retry_after": _retry_after,
    "body": _body,
    "delay": _delay,
    "drop": _drop,
    "count": _count,
    "event_type": _text,
    "id": _text,
}


class FaultScript:
    """The faults still to come, first in first out. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, value: object) -> None:
        """Append one fault, or each of a list; add none and raise ValueError if one is bad."""
        faults = [parse_fault(each) for each in (value if isinstance(value, list) else [value])]
        with self._lock:
            self._faults += faults

    def take(self, event: object) -> Fault | None:
        """Return the first fault that a call with this parsed body meets, and count it down."""
        with self._lock:
            for position, fault in enumerate(self._faults):
                if fault.meets(event):
                    if fault.count == 1:
                        del self._faults[position]
                    elif fault.count is not None:
                        self._faults[position] = replace(fault, count=fault.count - 1)
                    return fault
        return None

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def waiting(self) -> list[Fault]:
        """Return the faults that are left, the next one first."""
        with self._lock:
            return list(self._faults)
