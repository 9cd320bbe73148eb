"""Events and rows for the tests of the outbox."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import connections

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.events import Event, Item
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Claimed, Lease, Outbox
from django_moloco_rmp.wire import dumps

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def event(event_id: str | None = None, **fields: Any) -> Event:
    """A valid event that has just happened."""
    arguments: dict[str, Any] = {
        "event_type": "ADD_TO_CART",
        "timestamp": time.time_ns() // 1_000_000,
        "channel_type": "SITE",
        "id": str(uuid4()) if event_id is None else event_id,
        "custom_id": "0" * 64,
        "items": (Item("lamp"),),
    }
    return Event(**arguments | fields)


def somebody() -> dict[str, str]:
    """What request.moloco.freeze() would return for a new shopper."""
    return {
        "channel_type": "SITE",
        "persistent_id": f"{random.getrandbits(256):064x}",
        "page_id": "CART_PAGE",
    }


def record(
    *event_ids: str, keeps_id: bool = False, using: str = "default", to: str = "default"
) -> None:
    """Record an event under each of the ids, for a destination."""
    for event_id in event_ids:
        assert Outbox(using, to).record(event(event_id), keeps_id=keeps_id)


def record_many(count: int, **columns: Any) -> list[str]:
    """Record events in one statement, as rows with the columns given; return their ids in order."""
    model = event("the id")
    body = dumps(model)
    event_ids = [str(uuid4()) for _ in range(count)]
    OutboxEvent.objects.bulk_create(
        OutboxEvent(
            event_id=event_id,
            event_type=model.event_type,
            payload=body.replace("the id", event_id),
            **columns,
        )
        for event_id in event_ids
    )
    return event_ids


def claim_one(outbox: Outbox) -> tuple[str, Claimed]:
    """Claim the one event that is due; return the lease's token and the event."""
    lease = outbox.claim(2, MINUTE)
    (claimed,) = lease.events
    return lease.token, claimed


def ids(lease: Lease) -> list[str]:
    """The ids of claimed events."""
    return [each.event_id for each in lease.events]


def make_due(**which: Any) -> None:
    """Let the waits and the leases of pending rows end now."""
    OutboxEvent.objects.filter(state=OutboxEvent.State.PENDING, **which).update(
        available_at=DatabaseNow()
    )


def seconds_until_due(row: OutboxEvent) -> float:
    """How long a row still waits, by the database's clock."""
    now = OutboxEvent.objects.annotate(now=DatabaseNow()).values_list("now", flat=True)
    return float((row.available_at - now.get(pk=row.pk)).total_seconds())


@contextmanager
def without_table() -> Iterator[None]:
    """Take the outbox's table away for a while, with a connection of its own."""
    connection = connections["default"].copy()
    connection.inc_thread_sharing()
    table = OutboxEvent._meta.db_table
    with connection.schema_editor() as editor:
        editor.alter_db_table(OutboxEvent, table, "moloco_rmp_away")
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(OutboxEvent, "moloco_rmp_away", table)
        connection.close()


@contextmanager
def stricter_table() -> Iterator[None]:
    """Have the table refuse rows for a while, as when a later release added a column to set."""
    connection = connections["default"]
    table = connection.ops.quote_name(OutboxEvent._meta.db_table)
    with connection.cursor() as cursor:
        # Not NOT NULL, with which SQLite adds no column.
        cursor.execute(f"ALTER TABLE {table} ADD COLUMN extra integer CHECK (extra IS NOT NULL)")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} DROP COLUMN extra")
