"""
Work on all events that match a filter, in steps: so many in one request, until none is left.

A step says how far it came, and its page asks for the next one. What comes in after the first step
is left alone, or events that are refused again would be sent for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate

SINCE, DONE = "moloco_since", "moloco_done"
_MOST = 2**62


@dataclass(frozen=True, slots=True)
class Step:
    """What one request did: so many in all so far, and whether there is more."""

    done: int
    is_last: bool


def now(using: str) -> int:
    """Return the database's time in microseconds."""
    return Gate(using).look().now


def started(request: Any, using: str) -> tuple[int, int]:
    """Return the database's time, and when the work that a request goes on with was begun."""
    moment = now(using)
    return moment, min(_number(request.POST.get(SINCE)) or moment, moment)


def before(since: int, present: int) -> Any:
    """Return an expression for the moment ``since``, as columns have it."""
    return DatabaseNow() - timedelta(microseconds=max(0, present - since))


def take(
    request: Any, rows: Any, size: int, work: Callable[[Sequence[int]], Iterator[int]]
) -> Step:
    """
    Do one step.

    :param rows: one more than fit into a step, if there are more
    :param size: of a step
    """
    keys = list(rows.values_list("pk", flat=True))
    count = sum(work(keys[:size]))
    # Without any progress there will not be any next time.
    is_last = len(keys) <= size or not count
    return Step(_number(request.POST.get(DONE)) + count, is_last)


def _number(text: str | None) -> int:
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) < 20
    return min(int(text), _MOST) if is_number and text is not None else 0
