"""
Rejected events grouped by what the vendor said of them.

Messages that differ only in what has a digit in it, an index or an id, are one group: it is the
same fault of the shop's. Of many rejected events only the newest are looked at.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

MOST_LOOKED_AT = 5_000
#: Messages that a filter takes; beyond that they are no group but noise.
_MOST_TEXTS = 500
_VARIABLE = re.compile(r"[\w-]*\d[\w-]*")


@dataclass(slots=True)
class Group:
    """Events that were refused alike; ``texts`` are the messages to the letter."""

    key: str
    message: str
    status: int | None
    count: int = 0
    texts: set[str] = field(default_factory=set)
    event_types: set[str] = field(default_factory=set)
    newest: Any = None


@dataclass(frozen=True, slots=True)
class Grouped:
    """Groups, the largest first; ``is_partial`` if there were more events than were looked at."""

    groups: tuple[Group, ...]
    looked_at: int
    is_partial: bool

    def find(self, key: str) -> Group | None:
        """Return the group of a key."""
        return next((group for group in self.groups if group.key == key), None)


def grouped(rejected: Any) -> Grouped:
    """
    Group rejected events.

    :param rejected: a queryset of theirs, of one destination: the index begins with that
    """
    columns = ("last_error", "last_status", "event_type", "finished_at")
    rows = list(
        rejected.order_by("-available_at", "-id").values_list(*columns)[: MOST_LOOKED_AT + 1]
    )
    groups: dict[tuple[int | None, str], Group] = {}
    known: dict[str, str] = {}
    for text, status, event_type, finished_at in rows[:MOST_LOOKED_AT]:
        message = known.get(text)
        if message is None:
            message = known[text] = _VARIABLE.sub("…", text)
        group = groups.get((status, message))
        if group is None:
            group = Group(_key(status, message), message, status, newest=finished_at)
            groups[status, message] = group
        group.count += 1
        group.event_types.add(event_type)
        if len(group.texts) < _MOST_TEXTS:
            group.texts.add(text)
    ordered = sorted(groups.values(), key=lambda group: -group.count)
    return Grouped(tuple(ordered), min(len(rows), MOST_LOOKED_AT), len(rows) > MOST_LOOKED_AT)


def _key(status: int | None, message: str) -> str:
    return hashlib.blake2s(f"{status} {message}".encode(), digest_size=6).hexdigest()
