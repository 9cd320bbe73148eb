"""How a destination stands, for the tests that ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connections

from django_moloco_rmp.conf import DEFAULT
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.protocol import SECOND, Circuit, Reason
from tests.outbox.samples import record_many


def due(seconds: float, count: int = 1) -> None:
    """Events that have been due for so many seconds."""
    record_many(count, available_at=DatabaseNow() - timedelta(seconds=seconds))


def now() -> int:
    """The database's time, microseconds."""
    return Gate("default").look().now


def circuit(
    destination: str = DEFAULT,
    *,
    failures: int = 0,
    since: float = 0,
    reason: str = "",
    **fields: Any,
) -> None:
    """A circuit that has been as it is for so many seconds."""

    def stand(held: Held) -> None:
        at = held.now - round(since * SECOND)
        held.circuit = Circuit(failures=failures, changed_at=at, reason=Reason(reason), **fields)

    Gate("default", destination).change(stand)


def opened(since: float) -> None:
    """A circuit that server errors have opened so many seconds ago."""
    circuit(failures=6, since=since, reason="server")


def relay_seen(seconds: float) -> None:
    """A relay that has left its last sign so many seconds ago."""
    at = now() - round(seconds * SECOND)
    GateRow.objects.update(relay_seen_at=at)


@contextmanager
def database_that_is_down() -> Iterator[str]:
    """The alias of a database that nobody answers for."""
    gone = connections["gone"] = connections["default"].copy("gone")
    gone.settings_dict = {
        **gone.settings_dict,
        "NAME": "/nowhere/at/all",
        "HOST": "127.0.0.1",
        "PORT": "1",
    }
    try:
        yield "gone"
    finally:
        gone.close()
        del connections["gone"]
