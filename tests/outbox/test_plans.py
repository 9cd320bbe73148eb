"""How each database finds the rows: by which index, and without sorting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp.backlog import Backlog
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.exceptions import api_error
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox
from tests.outbox.samples import MINUTE, record_many

State = OutboxEvent.State
DAY = timedelta(days=1)
PRIMARY_KEY = {
    "sqlite": "INTEGER PRIMARY KEY",
    "postgresql": "moloco_rmp_outboxevent_pkey",
    "mysql": "PRIMARY",
}
SORTING = {"sqlite": "TEMP B-TREE", "postgresql": "Sort", "mysql": "filesort"}
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_statistics_left(transactional_db: None) -> Iterator[None]:
    """Let the next test find SQLite as it is in a shop: without statistics."""
    yield
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS sqlite_stat1")
        connection.close()


def update_statistics() -> None:
    table = connection.ops.quote_name(OutboxEvent._meta.db_table)
    statement = f"ANALYZE TABLE {table}" if connection.vendor == "mysql" else f"ANALYZE {table}"
    with connection.cursor() as cursor:
        cursor.execute(statement)


def plans(work: Callable[[], object]) -> list[str]:
    """The plan of each statement that work takes."""
    with CaptureQueriesContext(connection) as queries:
        work()
    keyword = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    found = []
    with connection.cursor() as cursor:
        for query in queries.captured_queries:
            cursor.execute(f"{keyword} {query['sql']}")
            found.append("\n".join(str(row) for row in cursor.fetchall()))
    return found


@pytest.fixture(params=[True, False], ids=["statistics", "no statistics"])
def busy_table(request: pytest.FixtureRequest, no_statistics_left: None) -> None:
    """Some thousand rows of every kind, as after an outage."""
    if not request.param and connection.vendor != "sqlite":
        pytest.skip("only SQLite is left without statistics by default")
    record_many(1_500)
    record_many(500, available_at=DatabaseNow() + DAY)
    record_many(1_500, state=State.SENT, finished_at=DatabaseNow() - DAY)
    record_many(500, state=State.REJECTED, finished_at=DatabaseNow() - DAY)
    if request.param:
        update_statistics()


def test_due_events_are_read_off_the_index(busy_table: None) -> None:
    look, write, read = plans(lambda: Outbox("default").claim(50, MINUTE))
    assert "moloco_rmp_due" in look
    assert SORTING[connection.vendor] not in look
    assert PRIMARY_KEY[connection.vendor] in write
    assert PRIMARY_KEY[connection.vendor] in read


def test_a_look_when_nothing_is_due_is_read_off_the_index() -> None:
    record_many(2_000, available_at=DatabaseNow() + DAY)
    record_many(2_000, state=State.SENT, finished_at=DatabaseNow())
    update_statistics()
    for look in (Outbox("default").has_due, lambda: Outbox("default").claim(50, MINUTE)):
        (plan,) = plans(look)
        assert "moloco_rmp_due" in plan
        assert SORTING[connection.vendor] not in plan


def test_a_look_when_something_is_due_is_read_off_the_index(busy_table: None) -> None:
    (plan,) = plans(Outbox("default").has_due)
    assert "moloco_rmp_due" in plan
    assert SORTING[connection.vendor] not in plan


def test_what_monitoring_asks_is_read_off_an_index(busy_table: None) -> None:
    backlog = Backlog("default")
    (longest,) = plans(backlog.longest_due)
    assert "moloco_rmp_due" in longest
    assert SORTING[connection.vendor] not in longest
    sizes = plans(backlog.sizes)
    assert len(sizes) == 4
    for plan in sizes:
        assert "moloco_rmp_" in plan


def test_an_idle_relay_asks_the_index_even_after_a_backlog_that_statistics_remember() -> None:
    record_many(3_000)
    update_statistics()
    OutboxEvent.objects.update(state=State.SENT, finished_at=DatabaseNow())
    (look,) = plans(lambda: Outbox("default").has_due())
    assert "moloco_rmp_due" in look
    assert SORTING[connection.vendor] not in look


def test_what_became_of_events_is_written_by_key(busy_table: None) -> None:
    outbox = Outbox("default")
    every_other = OutboxEvent.objects.order_by("pk").values_list("pk", flat=True)[::2]
    OutboxEvent.objects.filter(pk__in=every_other[:50]).update(keeps_id=True)
    lease = outbox.claim(50, MINUTE)
    written = plans(lambda: outbox.delivered(lease.token, lease.events[2:]))
    written += plans(lambda: outbox.release(lease.token, lease.events[:2]))
    error = api_error(403, "the key is wrong")
    (kept,) = outbox.claim(1, MINUTE).events
    written += plans(lambda: outbox.keep(lease.token, kept, error))
    assert len(written) == 4
    for plan in written:
        assert PRIMARY_KEY[connection.vendor] in plan


def test_old_events_are_read_off_the_index(busy_table: None) -> None:
    # As they are most of the time: only few are old enough.
    few = OutboxEvent.objects.filter(state=State.SENT).values_list("pk", flat=True)[:20]
    OutboxEvent.objects.filter(pk__in=list(few)).update(finished_at=DatabaseNow() - 31 * DAY)
    statements = plans(lambda: sum(Outbox("default").prune(dedupe=30 * DAY, rejected=30 * DAY)))
    look, delete, *last_looks = statements
    assert len(last_looks) == 2
    assert PRIMARY_KEY[connection.vendor] in delete
    for plan in (look, *last_looks):
        assert "moloco_rmp_finished" in plan
        assert SORTING[connection.vendor] not in plan


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="others lock no more than they change")
@pytest.mark.parametrize("count", [1, 3, 60])
def test_a_small_table_is_not_locked_as_a_whole(count: int) -> None:
    outbox = Outbox("default")
    record_many(count)
    update_statistics()
    _, write, _ = plans(lambda: outbox.claim(50, MINUTE))
    assert "'range', 'PRIMARY'" in write or "'const'" in write
