"""PostgreSQL reads no more of a long table than is promised, whatever is looked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client import CollectorRegistry, generate_latest

from django_moloco_rmp.admin import DashboardAdmin
from django_moloco_rmp.contrib.prometheus import MOST_COUNTED, MolocoCollector
from django_moloco_rmp.health import read_vitals
from django_moloco_rmp.models import OutboxEvent
from tests.admin.pages import DASHBOARD, EVENTS

pytestmark = [
    pytest.mark.urls("tests.admin.urls"),
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="it is PostgreSQL that plans so"),
]

ROWS = 200_000
# All of one state, or a third of each, which is more than anything counts.
ONE_STATE, ALL_STATES = "2", "n % 3"
FILL = f"""
    INSERT INTO {OutboxEvent._meta.db_table}
        (event_id, event_type, payload, state, available_at, finished_at, last_status)
    SELECT 'cart-' || n, 'HOME', '{{{{"page_id":"HOME"}}}}', {{state}}, moment, moment, 400
    FROM generate_series(1, {ROWS}) AS n,
        LATERAL (SELECT NOW() - n * INTERVAL '1 second') AS t(moment)
"""


def fill(state: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(state=state))
        cursor.execute(f"ANALYZE {OutboxEvent._meta.db_table}")


@pytest.mark.slow
def test_a_window_is_read_off_an_index(viewer: Client) -> None:
    fill(ONE_STATE)
    middle = OutboxEvent.objects.order_by("-available_at")[ROWS // 2].pk
    for query in (
        *("", "?state=rejected", "?type=LAND", "?state=rejected&type=LAND"),
        *("?q=CATEGORY", "?state=rejected&q=CATEGORY", "?state=rejected&status=5xx"),
        *(f"?type=LAND&before={middle}", f"?state=rejected&q=CATEGORY&before={middle}"),
    ):
        found = viewer.get(EVENTS + query).context["cl"]
        for rows in (found.result_list, found.queryset[:10_001]):
            plan = rows.explain()
            assert "Seq Scan" not in plan, plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def most_read(look: Callable[[], Any]) -> int:
    """Of the queries that a look takes, how many events that one reads which reads the most."""
    look()
    with CaptureQueriesContext(connection) as queries:
        look()
    read = []
    for query in queries.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query['sql']}")
            (found,) = cursor.fetchone()
        plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        read.append(
            sum(
                (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
                for node in nodes(plan)
                if node.get("Relation Name") == OutboxEvent._meta.db_table
            )
        )
    return max(read)


@pytest.mark.slow
def test_what_is_asked_for_all_the_time_reads_so_much_at_most(viewer: Client) -> None:
    fill(ALL_STATES)
    registry = CollectorRegistry()
    registry.register(MolocoCollector())
    counted = DashboardAdmin.most_counted
    # Where a third of all rows is meant, reading past the others is cheaper than an index.
    slack = 3.1
    assert 0 < most_read(lambda: read_vitals("default")) <= 1
    assert MOST_COUNTED < most_read(lambda: generate_latest(registry)) <= slack * MOST_COUNTED
    assert counted < most_read(lambda: viewer.get(DASHBOARD)) <= slack * counted
