"""
The backlog: what the outbox keeps, looked at, chosen and moved by an operator.

A million rows may lie here while a shop sells. Counts stop at a limit, rows are changed a thousand
at a time and by their keys, each batch in a transaction of its own, and nothing is locked for
longer than that.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from django.apps import apps
from django.db.models import F, Value
from django.db.models.functions import Concat, Left
from django.db.models.lookups import Exact

from django_moloco_rmp.conf import DEFAULT, named_destinations
from django_moloco_rmp.database import Clock, found_by_key, retrying

_PENDING, _SENT, _REJECTED = 0, 1, 2
#: The states by name: what waits to be delivered, what is only an id any more, what was refused.
STATES = {"pending": _PENDING, "delivered": _SENT, "rejected": _REJECTED}
#: Goes before the last error of an event that was put back, until there is a new one.
RESENT = "resent; was: "
_ERROR_LENGTH = 500
_BATCH = 1000
_PAGE = 5000
_IDENTIFIER_LENGTH = 32


def put_back(due: Any) -> dict[str, Any]:
    """
    Return the columns of a rejected event that is to be sent again.

    :param due: when, or an expression for it
    """
    return {
        "state": _PENDING,
        "available_at": due,
        "lease_token": "",
        "failures": 0,
        "server_errors": 0,
        "finished_at": None,
        "last_error": Left(Concat(Value(RESENT), "last_error"), _ERROR_LENGTH),
    }


def known_destinations(using: str) -> list[str]:
    """
    Return the names of the destinations in the settings, and of those that one database still has
    events for.

    :param using: the database's alias
    """
    names = named_destinations()
    rows = _model()._base_manager.using(using).order_by("destination")
    for state in (_PENDING, _REJECTED):
        found: str | None = ""
        # From one to the next: DISTINCT would read them all.
        while found is not None:
            later = rows.filter(state=state, destination__gt=found)
            found = later.values_list("destination", flat=True).first()
            if found is not None and found not in names:
                names.append(found)
    return names


def _model() -> Any:
    # By name: importing the package must work before the app registry is ready.
    return apps.get_model("moloco_rmp", "OutboxEvent")


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; more than that if ``is_more``."""

    number: int
    is_more: bool = False

    def __str__(self) -> str:
        return f"more than {self.number:,}" if self.is_more else f"{self.number:,}"


@dataclass(frozen=True, slots=True)
class Pile:
    """How many events are in a state, and how many of each type are among those looked at."""

    count: Count
    types: Mapping[str, int]

    @property
    def is_sample(self) -> bool:
        """Whether there are more than were looked at."""
        return self.count.is_more or self.count.number > sum(self.types.values())


@dataclass(frozen=True, slots=True)
class Summary:
    """
    The backlog at a glance.

    ``due`` may be sent now, ``in_flight`` is held by a relay, ``waiting`` has its time still to
    come. ``oldest`` is how long, in seconds, the first of the pending events has waited: since it
    was recorded, or if it was resent and has not failed again, since it became due. None if none
    waits.
    """

    pending: Pile
    due: Count
    in_flight: Count
    waiting: Count
    rejected: Pile
    oldest: float | None


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Which events of a state are meant: those that fit everything that is given.

    Ages count from when the event was recorded. ``message`` is a part of the last error, in
    whatever case.
    """

    destinations: tuple[str, ...] = ()
    event_types: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    event_ids: tuple[str, ...] = ()
    message: str = ""
    older_than: timedelta | None = None
    newer_than: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """An event as it is kept, ``payload`` being its JSON body to the letter."""

    event_id: str
    event_type: str
    destination: str
    state: str
    attempts: int
    last_status: int | None
    last_error: str
    created_at: Any
    payload: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Traces:
    """What the outbox has of a shopper: keys of events, and of delivered ids that name them."""

    looked_at: int
    events: list[int]
    delivered: list[int]


class Backlog:
    """
    The backlog of one database. Looks are at what is for one destination; what is chosen, by a
    :class:`Selection` or by keys, may be for any.

    :param using: the database's alias
    :param destination: the name of the one that is looked at
    :param most_counted: counts end here: to count on would read a table that a shop writes to
    :param most_looked_at: so many rows of a state are looked at more closely
    """

    def __init__(
        self,
        using: str,
        destination: str = DEFAULT,
        *,
        clock: Clock | None = None,
        most_counted: int = 100_000,
        most_looked_at: int = 10_000,
    ) -> None:
        self.using = using
        self.destination = destination
        self._clock = clock or Clock()
        self._most_counted = most_counted
        self._most_looked_at = most_looked_at

    @property
    def _rows(self) -> Any:
        return _model()._base_manager.using(self.using)

    def _in_state(self, state: int) -> Any:
        return self._rows.filter(state=state, destination=self.destination)

    def summary(self) -> Summary:
        """Return the backlog at a glance, within a fraction of a second however long it is."""
        pending = self._in_state(_PENDING)
        now = self._clock.now()
        due, ahead = pending.filter(available_at__lte=now), pending.filter(available_at__gt=now)
        # Leases are short: what is in flight comes up among the first.
        columns = ("event_type", "created_at", "available_at", "last_error", "lease_token")
        order = ("available_at", "id")
        looks = [
            list(
                rows.order_by(*order)
                .annotate(now=now)
                .values_list(*columns, "now")[: self._most_looked_at]
            )
            for rows in (due, ahead)
        ]
        flying = sum(1 for row in looks[1] if row[4])
        ready, later = self._counted(due), self._counted(ahead)
        return Summary(
            pending=Pile(
                self._added(ready, later), _types(row[0] for look in looks for row in look)
            ),
            due=ready,
            in_flight=Count(flying, flying == self._most_looked_at),
            waiting=Count(max(later.number - flying, 0), later.is_more),
            rejected=self._pile(_REJECTED),
            oldest=max(
                (age for look in looks for row in look if (age := _age(row)) is not None),
                default=None,
            ),
        )

    def known_ids(self) -> Count:
        """Return how many delivered events are known by their ids, to tell repeats."""
        return self._counted(self._in_state(_SENT))

    def sizes(self) -> dict[str, Count]:
        """Return no more than how many there are of each kind: for those who ask all the time."""
        pending, now = self._in_state(_PENDING), self._clock.now()
        parts = {
            "due": pending.filter(available_at__lte=now),
            "waiting": pending.filter(available_at__gt=now),
            "rejected": self._in_state(_REJECTED),
        }
        sizes = {name: self._counted(part) for name, part in parts.items()}
        return {**sizes, "delivered": self.known_ids()}

    def longest_due(self) -> float:
        """Return for how many seconds the event that is due longest has been so; 0 if none is."""
        now = self._clock.now()
        due = self._in_state(_PENDING).filter(available_at__lte=now).annotate(now=now)
        first = due.order_by("available_at", "id").values_list("available_at", "now")[:1]
        return max((float((at - since).total_seconds()) for since, at in first), default=0.0)

    def _counted(self, rows: Any) -> Count:
        number = int(rows[: self._most_counted + 1].count())
        return self._capped(number)

    def _added(self, one: Count, other: Count) -> Count:
        capped = self._capped(one.number + other.number)
        return Count(capped.number, capped.is_more or one.is_more or other.is_more)

    def _capped(self, number: int) -> Count:
        return Count(min(number, self._most_counted), number > self._most_counted)

    def _pile(self, state: int) -> Pile:
        rows = self._in_state(state)
        # The latest, by the index that has the destination.
        types = rows.order_by("-available_at", "-id").values_list("event_type", flat=True)
        return Pile(self._counted(rows), _types(types[: self._most_looked_at]))

    def keys(self, states: Iterable[str], selection: Selection) -> Sequence[int]:
        """
        Return the keys of the events that are meant, oldest first.

        They take eight bytes each, and no more is read of an event than it takes to choose it.
        """
        found = array("q")
        for state in states:
            rows = self._chosen(self._rows.filter(state=STATES[state]), selection)
            found.extend(rows.values_list("pk", flat=True).iterator(chunk_size=_PAGE))
        return array("q", sorted(found))

    def _chosen(self, rows: Any, selection: Selection) -> Any:
        if selection.destinations:
            rows = rows.filter(destination__in=selection.destinations)
        if selection.event_types:
            rows = rows.filter(event_type__in=selection.event_types)
        if selection.statuses:
            rows = rows.filter(last_status__in=selection.statuses)
        if selection.event_ids:
            rows = rows.filter(event_id__in=selection.event_ids)
        if selection.message:
            rows = rows.filter(last_error__icontains=selection.message)
        if selection.older_than is not None:
            rows = rows.filter(created_at__lt=self._clock.now() - selection.older_than)
        if selection.newer_than is not None:
            rows = rows.filter(created_at__gte=self._clock.now() - selection.newer_than)
        return rows

    def kept(self, keys: Sequence[int]) -> Iterator[Kept]:
        """Yield the events of some keys; those that are there no more are left out."""
        fields = tuple(Kept.__dataclass_fields__)
        names = {state: name for name, state in STATES.items()}
        for batch in _batches(keys, _BATCH):
            rows = self._rows.filter(pk__in=batch).exclude(Exact(F("state") + 0, _SENT))
            for row in rows.order_by("id").values(*fields):
                yield Kept(**{**row, "state": names[row["state"]]})

    def make_one_due(self) -> bool:
        """
        Have something to probe with, as what was tried in vain waits for a time of its own.

        :return: whether anything is pending
        """
        rows = self._in_state(_PENDING)
        free = rows.filter(lease_token="").order_by("available_at", "id")
        now = self._clock.now()
        for key in list(free.values_list("pk", flat=True)[:1]):
            rows.filter(pk=key, lease_token="", available_at__gt=now).update(available_at=now)
            return True
        return bool(rows.exists())

    def resend(self, keys: Sequence[int], rate: float | None = None) -> Iterator[int]:
        """
        Make rejected events pending again; yield how many with each batch.

        They keep their ids, by which the API can tell a repeat, their number of attempts, and what
        was wrong with them; failures are counted anew.

        :param rate: events per second, which become due one after another; None for all at once
        """
        size = _BATCH if rate is None else max(1, min(_BATCH, int(rate)))
        for number, batch in enumerate(_batches(keys, size)):
            wait = timedelta(0) if rate is None else timedelta(seconds=number * size / rate)
            yield retrying(self.using, partial(self._resend, batch, wait))

    def _resend(self, batch: Sequence[int], wait: timedelta) -> int:
        now = self._clock.now()
        with found_by_key(self.using, _model()._meta.db_table):
            rows = self._rows.filter(Exact(F("state") + 0, _REJECTED), pk__in=batch)
            # SQLite compares texts: a sum has more digits, and so would be due later.
            return int(rows.update(**put_back(now + wait if wait else now)))

    def size(self) -> int:
        """Return how many rows there are, of all destinations."""
        return int(self._rows.count())

    def traces(self, hashes: Iterable[str]) -> Iterator[Traces]:
        """
        Look through the whole outbox for a shopper; yield what there is, page by page.

        :param hashes: forms in which events may have the shopper's ``user_id``
        """
        wanted = frozenset(hashes)
        # The user id comes first among what identifies an event; rows older than that column
        # have none.
        marks = {name[:_IDENTIFIER_LENGTH] for name in wanted}
        last = 0
        rows = self._rows.order_by("id").values_list("pk", "state", "identifier")
        while page := list(rows.filter(pk__gt=last)[:_PAGE]):
            last = page[-1][0]
            suspects = [pk for pk, state, mark in page if state != _SENT and mark in {*marks, ""}]
            yield Traces(
                len(page),
                [pk for batch in _batches(suspects, _BATCH) for pk in self._naming(wanted, batch)],
                [pk for pk, state, mark in page if state == _SENT and mark in marks],
            )

    def _naming(self, hashes: frozenset[str], batch: Sequence[int]) -> Iterator[int]:
        for pk, payload in self._rows.filter(pk__in=batch).values_list("pk", "payload"):
            if payload and json.loads(payload).get("user_id") in hashes:
                yield pk

    def forget(self, traces: Traces) -> tuple[int, int]:
        """
        Delete a shopper's events, and take their mark off delivered ids; return how many of both.

        Events in flight go too: the relay that holds them finds nothing to write its result to.
        """
        deleted = marked = 0
        delivered = traces.delivered + traces.events
        for batch in _batches(traces.events, _BATCH):
            deleted += retrying(self.using, partial(self._delete, batch))
        for batch in _batches(delivered, _BATCH):
            marked += retrying(self.using, partial(self._unmark, batch))
        return deleted, marked

    def _delete(self, batch: Sequence[int]) -> int:
        with found_by_key(self.using, _model()._meta.db_table):
            rows = self._rows.filter(pk__in=batch).exclude(Exact(F("state") + 0, _SENT))
            # Not delete(): where the project listens to pre_delete, that reads the rows first.
            return int(rows._raw_delete(self.using))

    def _unmark(self, batch: Sequence[int]) -> int:
        with found_by_key(self.using, _model()._meta.db_table):
            rows = self._rows.filter(Exact(F("state") + 0, _SENT), pk__in=batch)
            return int(rows.update(identifier=""))


def _types(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _age(row: tuple[Any, ...]) -> float | None:
    _, created_at, available_at, last_error, _, now = row
    if last_error.startswith(RESENT):
        # When it was recorded says nothing about the relay.
        return float((now - available_at).total_seconds()) if available_at <= now else None
    return max(float((now - created_at).total_seconds()), 0.0)


def _batches(keys: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(keys), size):
        yield list(keys[start : start + size])
