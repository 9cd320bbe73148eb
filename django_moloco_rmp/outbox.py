"""
The outbox: events written in the shop's own transaction, and taken out again under a lease.

Every statement runs alike on each database. Whoever claims holds the gate, whose row is written
first: on SQLite no transaction may read before it writes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import partial
from typing import Any, Self

from django.apps import apps
from django.db import DatabaseError, connections, router, transaction
from django.db.models import F
from django.db.models.lookups import Exact

from django_moloco_rmp.conf import DEFAULT
from django_moloco_rmp.database import Clock, found_by_key, retrying
from django_moloco_rmp.events import Event
from django_moloco_rmp.exceptions import DeliveryError
from django_moloco_rmp.savepoint import execute_apart
from django_moloco_rmp.wire import dumps

_PENDING, _SENT, _REJECTED = 0, 1, 2
_MYSQL_DEADLOCK = 1213
_BATCH = 1000
_IDENTIFIER_LENGTH = 32
# Of one destination's events each has an id of its own.
_KEY = ("event_id", "destination")


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as the outbox keeps it; ``keeps_id`` if its id stays known after delivery."""

    event_id: str
    event_type: str
    payload: str = field(repr=False)
    identifier: str = field(repr=False)
    keeps_id: bool = False
    destination: str = DEFAULT

    @classmethod
    def of(cls, event: Event, *, keeps_id: bool = False, destination: str = DEFAULT) -> Self:
        """Return the entry for an event."""
        names = (event.user_id, event.device.persistent_id, event.custom_id)
        identifier = next(filter(None, names), "")[:_IDENTIFIER_LENGTH]
        kind = event.event_type.value
        return cls(event.id, kind, dumps(event), identifier, keeps_id, destination)


_COLUMNS = tuple(each.name for each in fields(Entry))


@dataclass(frozen=True, slots=True)
class Claimed:
    """An event that a relay holds a lease on."""

    pk: int
    event_id: str
    event_type: str
    destination: str
    payload: str = field(repr=False)
    identifier: str = field(repr=False)
    keeps_id: bool
    failures: int
    server_errors: int


_CLAIMED = tuple(each.name for each in fields(Claimed))


@dataclass(frozen=True, slots=True)
class Lease:
    """What one claim got: the events, and the token that fences whatever is written back."""

    token: str
    events: tuple[Claimed, ...]


def default_alias() -> str:
    """Return the alias of the database that events are written to."""
    return router.db_for_write(_model())


def _model() -> Any:
    # By name: importing the package must work before the app registry is ready.
    return apps.get_model("moloco_rmp", "OutboxEvent")


class Outbox:
    """
    The outbox of one database, and what of it goes to one destination.

    :param using: the database's alias
    :param destination: its name; what is recorded by entries may go to others
    """

    def __init__(
        self, using: str, destination: str = DEFAULT, *, clock: Clock | None = None
    ) -> None:
        self.using = using
        self.destination = destination
        self._clock = clock or Clock()

    @property
    def _rows(self) -> Any:
        return _model()._base_manager.using(self.using)

    def record(self, event: Event, *, keeps_id: bool) -> bool:
        """
        Write an event for the destination in the transaction that is open on this database, if any.

        :param keeps_id: whether the id stays known after delivery
        :return: False if the id is known already; nothing was written then
        :raises django.db.DatabaseError: the row could not be written. The surrounding transaction
            stays usable, unless the database itself has ended it, which marks it for rollback.
        """
        connection = connections[self.using]
        entry = Entry.of(event, keeps_id=keeps_id, destination=self.destination)
        statement = (
            # The other form does not tell whether there was a row.
            self._statement(1, verb="INSERT IGNORE", conflict="")
            if connection.vendor == "mysql"
            else self._statement(1)
        )
        values = [getattr(entry, name) for name in _COLUMNS]
        try:
            return bool(execute_apart(self.using, statement, values))
        except DatabaseError as error:
            if connection.in_atomic_block and _ends_transaction(connection.vendor, error):
                # The shop's statements are gone too: what follows must not commit as if not.
                connection.set_rollback(True)
            raise

    def record_all(self, entries: Sequence[Entry]) -> None:
        """
        Write entries, for whichever destination, in as few statements as the database takes; known
        ids are no-ops.

        :raises django.db.Error: none or some of them were written; it is safe to do so again
        """
        connection = connections[self.using]
        most = connection.features.max_query_params or _BATCH * len(_COLUMNS)
        size = min(_BATCH, most // len(_COLUMNS))
        with transaction.atomic(using=self.using, savepoint=False), connection.cursor() as cursor:
            for start in range(0, len(entries), size):
                batch = entries[start : start + size]
                values = [getattr(entry, name) for entry in batch for name in _COLUMNS]
                cursor.execute(self._statement(len(batch)), values)

    def _statement(self, rows: int, *, verb: str = "INSERT", conflict: str | None = None) -> str:
        # Not as Django has it: told to ignore conflicts, SQLite would leave out in silence what
        # breaks any rule; and a model's instance for each row costs more than all the rest.
        connection = connections[self.using]
        meta = _model()._meta
        columns, key = (
            [connection.ops.quote_name(meta.get_field(name).column) for name in names]
            for names in (_COLUMNS, _KEY)
        )
        if conflict is None and connection.vendor == "mysql":
            conflict = f" ON DUPLICATE KEY UPDATE {key[0]} = {key[0]}"
        elif conflict is None:
            conflict = f" ON CONFLICT ({', '.join(key)}) DO NOTHING"
        row = f"({', '.join(['%s'] * len(columns))})"
        return (
            f"{verb} INTO {connection.ops.quote_name(meta.db_table)} ({', '.join(columns)})"
            f" VALUES {', '.join([row] * rows)}{conflict}"
        )

    def claim(self, limit: int, lease: timedelta) -> Lease:
        """
        Take up to ``limit`` due events, oldest first, which nobody else gets while the lease runs.
        """
        token = secrets.token_hex(16)
        while keys := list(self._next(limit)):
            taken = self._update(
                self._in_state(_PENDING, keys).filter(available_at__lte=self._clock.now()),
                available_at=self._clock.now() + lease,
                lease_token=token,
                attempts=F("attempts") + 1,
            )
            # Where others were faster with all of these, more may be due.
            if taken:
                break
        else:
            return Lease(token, ())
        held = self._rows.filter(pk__in=keys, lease_token=token).order_by("id")
        return Lease(token, tuple(Claimed(*row) for row in held.values_list(*_CLAIMED)))

    def has_due(self) -> bool:
        """Return whether anything is due, without a lock: what an idle relay asks."""
        # Not exists(), which has no order: PostgreSQL then reads the table if it takes much to be
        # due.
        return retrying(self.using, lambda: bool(self._next(1)))

    @property
    def _pending(self) -> Any:
        return self._rows.filter(state=_PENDING, destination=self.destination)

    def _due(self) -> Any:
        return self._pending.filter(available_at__lte=self._clock.now())

    def _next(self, limit: int) -> Any:
        return self._due().order_by("available_at", "id").values_list("pk", flat=True)[:limit]

    def plans(self) -> dict[str, str]:
        """Return how the database would answer :meth:`has_due`, and find what is claimed."""
        looks = {"has_due": self._next(1), "claim": self._next(_BATCH)}
        return {name: look.explain() for name, look in looks.items()}

    def _in_state(self, state: int, keys: list[int]) -> Any:
        # Not the bare column: SQLite would take its index, and walk the whole backlog.
        return self._rows.filter(Exact(F("state") + 0, state), pk__in=keys)

    def _held(self, token: str, *events: Claimed) -> Any:
        return self._rows.filter(pk__in=[event.pk for event in events], lease_token=token)

    def _update(self, rows: Any, **values: Any) -> int:
        with self._found_by_key():
            return int(rows.update(**values))

    def _delete(self, rows: Any) -> int:
        # Not delete(): where the project listens to pre_delete, that reads the rows first, and
        # then deletes by their keys whatever has become of them.
        with self._found_by_key():
            return int(rows._raw_delete(self.using))

    def _found_by_key(self) -> AbstractContextManager[None]:
        return found_by_key(self.using, _model()._meta.db_table)

    def delivered(self, token: str, events: Iterable[Claimed]) -> int:
        """Forget delivered events, but for the ids that have to stay known; return how many."""
        done = list(events)
        plain = [event for event in done if not event.keeps_id]
        kept = [event for event in done if event.keeps_id]
        count = 0
        if plain:
            count += self._delete(self._held(token, *plain))
        if kept:
            count += self._update(
                self._held(token, *kept),
                state=_SENT,
                payload="",
                lease_token="",
                finished_at=self._clock.now(),
                last_error="",
            )
        return count

    def reschedule(
        self,
        token: str,
        event: Claimed,
        wait: timedelta,
        error: DeliveryError,
        *,
        is_server_error: bool = False,
    ) -> int:
        """
        Make an event due again after ``wait``, with one failure more; return how many.

        :param is_server_error: whether the event itself may be to blame
        """
        return self._update(
            self._held(token, event),
            available_at=self._clock.now() + wait,
            lease_token="",
            failures=F("failures") + 1,
            server_errors=F("server_errors") + int(is_server_error),
            last_status=error.status,
            last_error=error.message[:500],
        )

    def keep(self, token: str, event: Claimed, error: DeliveryError) -> int:
        """Keep an event that was refused by no fault of its own, due at once; return how many."""
        return self._update(
            self._held(token, event),
            available_at=self._clock.now(),
            lease_token="",
            last_status=error.status,
            last_error=error.message[:500],
        )

    def reject(self, token: str, event: Claimed, error: DeliveryError, *, why: str = "") -> int:
        """
        Keep an event that was refused for good, with the vendor's message; return how many.

        :param why: goes before the message
        """
        return self._update(
            self._held(token, event),
            state=_REJECTED,
            lease_token="",
            finished_at=self._clock.now(),
            last_status=error.status,
            last_error=f"{why}{error.message}"[:500],
        )

    def release(self, token: str, events: Iterable[Claimed], wait: timedelta = timedelta(0)) -> int:
        """Hand back events as if they had not been claimed, due after ``wait``; return how many."""
        now = self._clock.now()
        return self._update(
            self._held(token, *events),
            # On SQLite a sum has more digits than the clock, and would not be due at once.
            available_at=now + wait if wait else now,
            lease_token="",
            attempts=F("attempts") - 1,
        )

    def prune(self, *, dedupe: timedelta, rejected: timedelta) -> Iterator[int]:
        """
        Delete what has been kept long enough; yield how many rows with each batch.

        Of all destinations, so that what was sent to one that is there no more goes, too.
        """
        yield from self.prune_delivered(dedupe)
        yield from self.prune_rejected(rejected)

    def prune_delivered(self, age: timedelta) -> Iterator[int]:
        """Forget the ids of events delivered longer ago; yield how many with each batch."""
        return self._prune(_SENT, age)

    def prune_rejected(self, age: timedelta) -> Iterator[int]:
        """Delete events rejected longer ago; yield how many with each batch."""
        return self._prune(_REJECTED, age)

    def _prune(self, state: int, age: timedelta) -> Iterator[int]:
        old = self._old(state, age).order_by("finished_at").values_list("pk", flat=True)
        while keys := retrying(self.using, lambda: list(old[:_BATCH])):
            yield retrying(self.using, partial(self._delete, self._in_state(state, keys)))

    def prunable(self, *, dedupe: timedelta, rejected: timedelta) -> tuple[int, int]:
        """Return how many delivered ids, and how many rejected events, :meth:`prune` would take."""
        return self._old(_SENT, dedupe).count(), self._old(_REJECTED, rejected).count()

    def _old(self, state: int, age: timedelta) -> Any:
        return self._rows.filter(state=state, finished_at__lt=self._clock.now() - age)

    def pending(self) -> int:
        """Return how many events wait for the destination, those in flight included."""
        return int(self._pending.count())


def _ends_transaction(vendor: str, error: DatabaseError) -> bool:
    return vendor == "mysql" and error.args[:1] == (_MYSQL_DEADLOCK,)
