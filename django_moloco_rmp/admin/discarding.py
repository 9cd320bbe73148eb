"""Discarding events that were not delivered: by an operator's will, counted and told."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.db.models.lookups import Exact

from django_moloco_rmp import signals
from django_moloco_rmp.counts import Counts, dropped_by_destination
from django_moloco_rmp.database import DatabaseMicroseconds, DatabaseNow, found_by_key, retrying
from django_moloco_rmp.models import OutboxEvent

logger = logging.getLogger("django_moloco_rmp")

_SENT = OutboxEvent.State.SENT
_BATCH = 1000


def discardable(rows: Any) -> Any:
    """Return those of some events that may go: neither delivered, nor held by a relay."""
    states = (OutboxEvent.State.PENDING, OutboxEvent.State.REJECTED)
    return rows.filter(_is_free(), state__in=states)


def _is_free() -> Q:
    return Q(lease_token="") | Q(available_at__lte=DatabaseNow())


def discard(using: str, keys: Sequence[int]) -> Iterator[int]:
    """
    Delete events, count them as dropped and tell of it; yield how many with each batch.

    :param using: the database's alias
    """
    for start in range(0, len(keys), _BATCH):
        batch = list(keys[start : start + _BATCH])
        found = retrying(using, partial(_discard, using, batch))
        for (_, event_type), count in found.items():
            for _ in range(count):
                signals.event_dropped.send_robust(
                    event_type, reason="discarded", detail="", seconds=0.0
                )
        number = found.total()
        logger.warning(
            "Events discarded by an operator: %d",
            number,
            extra={"database": using, "count": number, "reason": "discarded"},
        )
        yield number


def _discard(using: str, batch: list[int]) -> Counter[tuple[str, str]]:
    """Return how many there were, by destination and event type."""
    rows = OutboxEvent._base_manager.using(using)
    token = secrets.token_hex(16)
    with transaction.atomic(using=using):
        with found_by_key(using, OutboxEvent._meta.db_table):
            # Marked first: what is counted is what is deleted, whoever else is at work.
            chosen = rows.filter(_is_free(), pk__in=batch).exclude(Exact(F("state") + 0, _SENT))
            chosen.update(lease_token=token)
        mine = rows.filter(pk__in=batch, lease_token=token)
        columns = ("destination", "event_type", "at")
        found = list(mine.annotate(at=DatabaseMicroseconds()).values_list(*columns))
        if not found:
            return Counter()
        with found_by_key(using, OutboxEvent._meta.db_table):
            # Not delete(): where the project listens to pre_delete, that reads the rows first.
            mine._raw_delete(using)
        counts = Counter((destination, event_type) for destination, event_type, _ in found)
        for destination, tallies in dropped_by_destination(counts).items():
            Counts(using, destination).write(found[0][2], tallies)
    return counts
