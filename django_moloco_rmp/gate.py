"""
The gate of a destination: the one row in which all relays keep its circuit and its pace.

Whoever changes it writes to it first, which locks the row on every database and makes the
transaction a writer from its first statement on SQLite. Emitting an event never touches it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from django.apps import apps
from django.db import transaction
from django.db.models import F

from django_moloco_rmp import signals
from django_moloco_rmp.conf import DEFAULT
from django_moloco_rmp.database import Clock, retrying
from django_moloco_rmp.pace import Pace
from django_moloco_rmp.protocol import SECOND, Circuit, Reason, State

logger = logging.getLogger("django_moloco_rmp")

_T = TypeVar("_T")
_CIRCUIT = tuple(each.name for each in fields(Circuit))
_NOTES = (
    *("last_success_at", "last_error_at", "last_status", "last_error", "relay_seen_at"),
    *("delivered", "rejected", "retried", "dropped"),
)
_PACE = {each.name: f"pace_{each.name}" for each in fields(Pace)}


@dataclass(slots=True)
class Held:
    """
    A gate whose row is locked. What is set here is saved with the transaction.

    ``now`` is the database's time in microseconds, read between ``read_at`` and ``read_by`` of this
    process's monotonic time in seconds. ``notes`` are further columns to set: values, or
    expressions such as ``F("delivered") + 1``.
    """

    now: int
    read_at: float
    read_by: float
    circuit: Circuit
    pace: Pace
    fingerprint: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


class Gate:
    """
    The gate of one destination in one database.

    :param using: the database's alias
    :param name: of the destination
    """

    def __init__(self, using: str, name: str = DEFAULT, *, clock: Clock | None = None) -> None:
        self.using = using
        self.name = name
        self._clock = clock or Clock()

    @property
    def _row(self) -> Any:
        # By name: importing the package must work before the app registry is ready.
        model = apps.get_model("moloco_rmp", "Gate")
        return model._base_manager.using(self.using).filter(pk=self.name)

    def change(self, decide: Callable[[Held], _T]) -> _T:
        """
        Lock the gate, let ``decide`` look at it and change it, and save it; return its result.

        :param decide: called in the transaction, and once more for each time that failed
        :raises django.db.Error: the database failed time and again
        """
        result, before, after = retrying(self.using, lambda: self._change(decide))
        if (before.state, before.reason) != (after.state, after.reason):
            logger.log(
                logging.INFO if after.state is State.CLOSED else logging.WARNING,
                "Circuit %s, was %s: destination %s, %s",
                after.state.value,
                before.state.value,
                self.name,
                f"reason {after.reason.value}" if after.reason else "no fault",
                extra={
                    "destination": self.name,
                    "state": after.state.value,
                    "previous": before.state.value,
                    "reason": after.reason.value,
                },
            )
            signals.circuit_changed.send_robust(
                self.name,
                state=after.state.value,
                previous=before.state.value,
                reason=after.reason.value,
            )
        return result

    def _change(self, decide: Callable[[Held], _T]) -> tuple[_T, Circuit, Circuit]:
        with transaction.atomic(using=self.using):
            if not self._touch():
                self._make()
                self._touch()
            held = self._read()
            circuit, pace = held.circuit, held.pace
            result = decide(held)
            changes = {
                **_changes(circuit, held.circuit, {name: name for name in _CIRCUIT}),
                **_changes(pace, held.pace, _PACE),
                **held.notes,
            }
            if changes:
                self._row.update(**changes)
        return result, circuit, held.circuit

    def _make(self) -> None:
        # Not by a migration, which a test's flush would undo. Two may be here at once.
        model = self._row.model
        rows = model._base_manager.using(self.using)
        rows.bulk_create([model(name=self.name)], ignore_conflicts=True)

    def _touch(self) -> int:
        return int(self._row.update(touched=F("touched") + 1))

    def _read(self) -> Held:
        columns = ("now", "fingerprint", *_CIRCUIT, *_PACE.values())
        read_at = time.monotonic()
        row = self._row.annotate(now=self._clock.microseconds()).values(*columns).get()
        read_by = time.monotonic()
        return Held(row["now"], read_at, read_by, _circuit(row), _pace(row), row["fingerprint"])

    def look(self) -> Held:
        """Return the gate as it is, without a lock: for people and monitoring."""
        if not self._row.exists():
            self.change(lambda held: None)
        return self._read()

    def noted(self) -> dict[str, Any]:
        """Return the columns which nobody decides by; none if nothing has passed the gate yet."""
        return self._row.values(*_NOTES).first() or {}

    def has_been_seen(self, seconds: float) -> bool:
        """Return whether a relay has left a sign of life in so many seconds."""
        since = self._clock.microseconds() - int(seconds * SECOND)
        return bool(retrying(self.using, self._row.filter(relay_seen_at__gte=since).exists))

    def note(self, columns: Callable[[Any], dict[str, Any]]) -> None:
        """
        Note that a relay has been seen, and set columns which nobody decides by.

        :param columns: gets an expression for the time in microseconds, and returns them
        """
        now = self._clock.microseconds()

        def write() -> int:
            return int(self._row.update(relay_seen_at=now, **columns(now)))

        if not retrying(self.using, write):
            retrying(self.using, self._make)
            retrying(self.using, write)


def present_gates(using: str) -> list[Gate]:
    """
    Return the gates that there are in one database, those of former destinations as well.

    :param using: the database's alias
    """
    rows = apps.get_model("moloco_rmp", "Gate")._base_manager.using(using)
    return [Gate(using, name) for name in rows.order_by("name").values_list("name", flat=True)]


def _circuit(row: dict[str, Any]) -> Circuit:
    values = {name: row[name] for name in _CIRCUIT}
    return Circuit(**values | {"reason": Reason(row["reason"])})


def _pace(row: dict[str, Any]) -> Pace:
    values = {name: row[column] for name, column in _PACE.items()}
    throttled = {key: tuple(entry) for key, entry in json.loads(values["throttled"]).items()}
    return Pace(**values | {"throttled": throttled})


def _changes(before: Any, after: Any, columns: dict[str, str]) -> dict[str, Any]:
    changed = {}
    for name, column in columns.items():
        value = getattr(after, name)
        if value != getattr(before, name):
            changed[column] = json.dumps(value) if isinstance(value, dict) else value
    return changed
