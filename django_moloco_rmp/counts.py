"""
Counts by the hour: how many events of a type met with an outcome, and how complete they were.

Delivered events are deleted; this is what remains of them. What is older than some weeks is told by
the hour no more, but stays in the sums.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from django.apps import apps
from django.db.models import F, Sum

from django_moloco_rmp.conf import DEFAULT
from django_moloco_rmp.database import retrying
from django_moloco_rmp.outbox import Claimed
from django_moloco_rmp.protocol import SECOND

HOUR = 3600 * SECOND
DELIVERED, RETRIED, REJECTED, DROPPED = "delivered", "retried", "rejected", "dropped"
#: Hours that counts are kept.
KEPT = 24 * 35
#: Stands for all the hours before: its row gets what is pruned, so that sums never fall.
BEFORE = 0
#: So many delivered events are looked at together for how many shoppers share an identifier.
SAMPLE = 500


@dataclass(slots=True)
class Count:
    """What is added to one row."""

    count: int = 0
    with_user_id: int = 0
    with_persistent_id: int = 0
    with_both: int = 0
    with_page_id: int = 0
    with_referrer: int = 0
    last_event_id: str = ""


_NUMBERS = tuple(each.name for each in fields(Count) if each.name != "last_event_id")


@dataclass(slots=True)
class Tallies:
    """Counts that have not been written yet, by event type and outcome."""

    counts: dict[tuple[str, str], Count] = field(default_factory=dict)

    def add(self, event: Claimed, outcome: str) -> None:
        """Count one event."""
        count = self.counts.setdefault((event.event_type, outcome), Count())
        count.count += 1
        count.last_event_id = event.event_id
        if outcome == DELIVERED:
            _complete(count, event.payload)

    def add_dropped(self, event_type: str, number: int) -> None:
        """Count events that never became rows."""
        self.counts.setdefault((event_type, DROPPED), Count()).count += number


def dropped_by_destination(numbers: Mapping[tuple[str, str], int]) -> dict[str, Tallies]:
    """
    Return tallies of events that never became rows, or were discarded, in the destinations' order.

    :param numbers: how many, by destination and event type
    """
    found: dict[str, Tallies] = {}
    for (destination, event_type), number in sorted(numbers.items()):
        found.setdefault(destination, Tallies()).add_dropped(event_type, number)
    return found


def _complete(count: Count, payload: str) -> None:
    try:
        body = json.loads(payload)
        device = body.get("device") or {}
        has_user, has_browser = bool(body.get("user_id")), bool(device.get("persistent_id"))
    except (ValueError, AttributeError):
        return  # accepted by the API all the same, so it is nobody's concern here
    count.with_user_id += has_user
    count.with_persistent_id += has_browser
    count.with_both += has_user and has_browser
    count.with_page_id += bool(body.get("page_id"))
    count.with_referrer += bool(body.get("referrer_page_id"))


class Counts:
    """
    The hourly counts of one destination in one database.

    :param using: the database's alias
    :param destination: its name
    """

    def __init__(self, using: str, destination: str = DEFAULT) -> None:
        self._using = using
        self._destination = destination

    @property
    def _rows(self) -> Any:
        # By name: importing the package must work before the app registry is ready.
        return apps.get_model("moloco_rmp", "HourlyCount")._base_manager.using(self._using)

    def write(self, now: int, tallies: Tallies) -> None:
        """
        Add tallies to the hour's rows, in the transaction that is open.

        :param now: the database's time, microseconds
        """
        # In order, so that two relays never wait for each other.
        for (event_type, outcome), count in sorted(
            tallies.counts.items(), key=lambda each: each[0]
        ):
            self._put(now, (now // HOUR, event_type, outcome), count)

    def _put(self, now: int, key: tuple[int, str, str], count: Count) -> None:
        if not self._add(now, key, count):
            self._make(key)
            self._add(now, key, count)

    def totals(self) -> dict[tuple[str, str], int]:
        """Return how many events of each type met with each outcome since counting began."""
        rows = self._rows.filter(destination=self._destination).order_by()
        sums = rows.values_list("event_type", "outcome").annotate(Sum("count"))
        return {(event_type, outcome): int(count) for event_type, outcome, count in sums}

    def _add(self, now: int, key: tuple[int, str, str], count: Count) -> int:
        hour, event_type, outcome = key
        row = self._rows.filter(
            destination=self._destination, hour=hour, event_type=event_type, outcome=outcome
        )
        numbers = {name: F(name) + number for name in _NUMBERS if (number := getattr(count, name))}
        return int(row.update(last_at=now, last_event_id=count.last_event_id, **numbers))

    def _make(self, key: tuple[int, str, str]) -> None:
        hour, event_type, outcome = key
        row = self._rows.model(
            destination=self._destination, hour=hour, event_type=event_type, outcome=outcome
        )
        self._rows.bulk_create([row], ignore_conflicts=True)

    def has_old(self, now: int) -> bool:
        """
        Return whether there is anything to prune.

        :param now: the database's time, microseconds
        """
        return bool(retrying(self._using, self._old(now).exists))

    def prune(self, now: int) -> int:
        """
        Add what is older than :data:`KEPT` hours to the row :data:`BEFORE`, and delete it.

        In a transaction that holds the gate, or two relays would add the same.

        :return: how many rows were deleted
        """
        old = self._old(now)
        latest: dict[tuple[str, str], int] = {}
        sums: dict[tuple[str, str], Count] = {}
        for row in old.order_by("hour").iterator():
            key = (row.event_type, row.outcome)
            total = sums.setdefault(key, Count())
            for name in _NUMBERS:
                setattr(total, name, getattr(total, name) + getattr(row, name))
            total.last_event_id, latest[key] = row.last_event_id, row.last_at
        for key, total in sums.items():
            self._put(latest[key], (BEFORE, *key), total)
        return int(old._raw_delete(self._using))

    def _old(self, now: int) -> Any:
        return self._rows.filter(
            destination=self._destination, hour__gt=BEFORE, hour__lt=now // HOUR - KEPT
        )


class Sample:
    """How often delivered events share an identifier; the identifiers themselves are not told."""

    def __init__(self, size: int = SAMPLE) -> None:
        self._size = size
        self._events = 0
        self._seen: Counter[str] = Counter()

    def add(self, identifier: str) -> dict[str, int]:
        """Look at one event; return columns of the gate to set once there are enough."""
        self._events += 1
        self._seen[identifier] += 1
        if self._events < self._size:
            return {}
        columns = {
            "sample_events": self._events,
            "sample_identifiers": len(self._seen),
            "sample_most": max(self._seen.values()),
        }
        self._events = 0
        self._seen.clear()
        return columns
