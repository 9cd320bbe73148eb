"""
The buffer: browsing events that wait in memory, for a moment, to be written many at a time.

A page view is worth no commit of its own in the shopper's request. Whoever emits only appends to a
queue; the background thread writes what has gathered.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from django.db import DataError, IntegrityError, connections
from django.db.models import F

from django_moloco_rmp import signals
from django_moloco_rmp.choices import EventType
from django_moloco_rmp.counts import Counts, Tallies, dropped_by_destination
from django_moloco_rmp.database import retrying
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.outbox import Entry, Outbox

logger = logging.getLogger("django_moloco_rmp")

#: Event types that may be shed; the others are worth money each.
BROWSING = (
    EventType.HOME,
    EventType.LAND,
    EventType.PAGE_VIEW,
    EventType.SEARCH,
    EventType.ITEM_PAGE_VIEW,
)
#: The most events in the buffer; beyond, the oldest browsing event is shed for a new one.
MOST_EVENTS = 10_000
#: So many at a time are written at once; fewer wait for others, seconds.
BATCH = 500
LINGER = 0.15
# Seconds after which a failed insert is tried again, and the most that these grow to.
_RETRY = (0.5, 5.0)
_IDLE = 5.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    using: str
    entry: Entry
    since: float


class Buffer:
    """
    Entries that wait to be written, oldest first. Any thread may :meth:`put`, one may write.

    :param ring: called when the buffer wants to be written
    :param most: entries at most
    :param clock: monotonic seconds
    """

    def __init__(
        self,
        ring: Callable[[], None] = lambda: None,
        *,
        most: int = MOST_EVENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ring = ring
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        # Out of the buffer, for what is being written must not be shed as well.
        self._writing: list[_Waiting] = []
        # By database, destination and event type.
        self._shed: Counter[tuple[str, str, str]] = Counter()
        self._retry_at = 0.0
        self._retry = _RETRY[0]
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, entry: Entry, using: str) -> None:
        """
        Add an entry, to be written to the outbox of a database.

        If the buffer is full, which it is when the database cannot be written to for long, its
        oldest browsing event goes, with one ``event_dropped``. Once it is closed, nobody will write
        it any more, and so whoever puts an entry writes it.
        """
        with self._lock:
            is_closed = self._is_closed
            if not is_closed:
                self._waiting.append(_Waiting(using, entry, self._clock()))
            is_first = not self._shed
            shed = self._shed_oldest() if len(self._waiting) > self._most else None
            count = len(self._waiting)
        if is_closed:
            _insert_last(using, entry)
            return
        if count == 1 or count % BATCH == 0:
            self._ring()
        if shed is not None:
            if is_first:
                logger.error(
                    "The buffer is full: the oldest browsing events are dropped",
                    extra={"reason": "overflow"},
                )
            _tell_dropped(shed.entry, "overflow", "the buffer is full")

    def _shed_oldest(self) -> _Waiting | None:
        for place, each in enumerate(self._waiting):
            entry = each.entry
            if entry.event_type in BROWSING:
                del self._waiting[place]
                self._shed[each.using, entry.destination, entry.event_type] += 1
                return each
        return None

    def step(self) -> tuple[float, set[tuple[str, str]]]:
        """
        Write what has waited long enough, or is plenty.

        :return: in how many seconds there is more to do, and of what was written the databases'
            aliases, each with a destination
        """
        written: set[tuple[str, str]] = set()
        while self._waiting:
            now = self._clock()
            oldest = self._waiting[0].since
            due = max(self._retry_at, oldest + LINGER if len(self) < BATCH else oldest)
            if due > now:
                return due - now, written
            if not self._write(written):
                return self._retry_at - now, written
        return _IDLE, written

    def drain(self) -> set[tuple[str, str]]:
        """Write all there is, now; what could not be written stays. Return as :meth:`step` does."""
        written: set[tuple[str, str]] = set()
        while self._waiting and self._write(written):
            pass
        return written

    def close(self) -> bool:
        """Close it for good if there is nothing in it; return whether it is closed."""
        with self._lock:
            self._is_closed = self._is_closed or not self._waiting
            return self._is_closed

    def abandon(self) -> None:
        """Close it as it is, and tell of each entry that could not be written in time."""
        with self._lock:
            self._is_closed = True
            lost = [*self._writing, *self._waiting]
        if lost:
            logger.error(
                "The process ends before %d buffered events could be written",
                len(lost),
                extra={"count": len(lost), "reason": "exit"},
            )
        for each in lost:
            _tell_dropped(each.entry, "exit", "the process ended before it was written")

    def _write(self, written: set[tuple[str, str]]) -> bool:
        """Write one batch, the longest run for one database; return whether that was possible."""
        with self._lock:
            using = self._waiting[0].using
            batch = self._writing
            while self._waiting and self._waiting[0].using == using and len(batch) < BATCH:
                batch.append(self._waiting.popleft())
        try:
            _insert(using, [each.entry for each in batch])
        except Exception:
            # Not only what a database says: nothing that the shop has in between may lose them.
            with self._lock:
                self._waiting.extendleft(reversed(batch))
                self._writing = []
            self._retry_at = self._clock() + self._retry
            self._retry = min(2 * self._retry, _RETRY[1])
            logger.exception(
                "Buffered events could not be written; they stay in memory",
                extra={"database": using, "count": len(batch)},
            )
            connections[using].close()
            return False
        self._retry_at, self._retry = 0.0, _RETRY[0]
        written |= {(using, each.entry.destination) for each in batch}
        with self._lock:
            self._writing = []
        try:
            self._count_shed(using)
        except Exception:
            # The batch is written, whatever has become of this.
            logger.exception("Dropped events could not be counted yet", extra={"database": using})
            connections[using].close()
        return True

    def _count_shed(self, using: str) -> None:
        with self._lock:
            shed = {
                (destination, event_type): number
                for (alias, destination, event_type), number in self._shed.items()
                if alias == using
            }
        for destination, tallies in dropped_by_destination(shed).items():
            counted = {
                (using, *key): number for key, number in shed.items() if key[0] == destination
            }
            self._count(using, destination, tallies, sum(counted.values()))
            with self._lock:
                self._shed.subtract(counted)
                self._shed = +self._shed

    def _count(self, using: str, destination: str, tallies: Tallies, total: int) -> None:
        def count_there(held: Held) -> None:
            held.notes["dropped"] = F("dropped") + total
            Counts(using, destination).write(held.now, tallies)

        Gate(using, destination).change(count_there)
        logger.error(
            "Events dropped from the full buffer: %d",
            total,
            extra={
                "database": using,
                "destination": destination,
                "count": total,
                "reason": "overflow",
            },
        )


def _insert(using: str, entries: list[Entry]) -> None:
    outbox = Outbox(using)
    try:
        retrying(using, lambda: outbox.record_all(entries))
    except (DataError, IntegrityError) as error:
        # One entry that the database refuses must not hold up the others for ever.
        if len(entries) == 1:
            _drop(entries[0], "database", "the database refuses its row", error)
            return
        for entry in entries:
            _insert(using, [entry])


def _insert_last(using: str, entry: Entry) -> None:
    try:
        _insert(using, [entry])
    except Exception as error:
        # Without a database, or inside an event loop, which may not wait for one.
        _drop(entry, "exit", "the process ended before it was written", error)


def _drop(entry: Entry, reason: str, detail: str, error: Exception) -> None:
    """Log an entry that is lost to an error, and tell of it."""
    logger.error(
        "Event dropped (%s, %s)",
        entry.event_type,
        reason,
        exc_info=error,
        extra={"event_id": entry.event_id, "event_type": entry.event_type, "reason": reason},
    )
    _tell_dropped(entry, reason, detail)


def _tell_dropped(entry: Entry, reason: str, detail: str) -> None:
    signals.event_dropped.send_robust(entry.event_type, reason=reason, detail=detail, seconds=0.0)
