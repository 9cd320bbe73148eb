"""
Lets nobody write to the outbox until it is told that this is over, and then says how many events
have come to it: a process of `memory`.
"""

from __future__ import annotations

import time

from django.db import connection

from benchmarks.children import hear, say
from django_moloco_rmp.models import OutboxEvent

# By vendor. Only the outbox is held, or SQLite's writers: pages still find out who the shopper is.
_LOCKS = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": ("BEGIN", "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"),
    "mysql": ("LOCK TABLES {table} WRITE",),
}
# Longer than the buffer waits after a failure, and the most that is waited for.
_STILL = 8.0
_PATIENCE = 300.0


def _arrived() -> int:
    """Return how many events there are, once no more come."""
    count, since, end = -1, 0.0, time.monotonic() + _PATIENCE
    while True:
        found = OutboxEvent.objects.count()
        now = time.monotonic()
        if found != count:
            count, since = found, now
        if now - since > _STILL:
            return count
        if now > end:
            raise TimeoutError("there still come events")
        time.sleep(0.5)


def main() -> None:
    before = OutboxEvent.objects.count()
    table = connection.ops.quote_name(OutboxEvent._meta.db_table)
    with connection.cursor() as cursor:
        for each in _LOCKS[connection.vendor]:
            cursor.execute(each.format(table=table))
    say("held")
    if hear() is not None:
        # And with it go the locks.
        connection.close()
        say(_arrived() - before)
    connection.close()
