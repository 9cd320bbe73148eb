from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from tests.outbox.samples import record

Reject = Callable[..., OutboxEvent]


@pytest.fixture
def reject(transactional_db: None) -> Reject:
    """A function that records an event and has it rejected, with the columns given."""

    def reject(event_id: str, using: str = "default", **columns: Any) -> OutboxEvent:
        record(event_id, using=using)
        rows = OutboxEvent.objects.using(using).filter(event_id=event_id)
        defaults: dict[str, Any] = {
            "state": OutboxEvent.State.REJECTED,
            "attempts": 1,
            "failures": 2,
            "server_errors": 1,
            "last_status": 400,
            "last_error": "missing page_id",
            "finished_at": DatabaseNow(),
        }
        rows.update(**defaults | columns)
        return rows.get()

    return reject
