"""PostgreSQL reads no more of a long list than its window, whatever is looked for."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client

from django_moloco_rmp.models import OutboxEvent
from tests.admin.pages import EVENTS

pytestmark = [
    pytest.mark.urls("tests.admin.urls"),
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "postgresql", reason="it is PostgreSQL that plans so"),
]

ROWS = 200_000
FILL = f"""
    INSERT INTO {OutboxEvent._meta.db_table}
        (event_id, event_type, payload, state, available_at, finished_at, last_status)
    SELECT 'cart-' || n, 'HOME', '{{"page_id":"HOME"}}', 2, moment, moment, 400
    FROM generate_series(1, {ROWS}) AS n,
        LATERAL (SELECT NOW() - n * INTERVAL '1 second') AS t(moment)
"""


@pytest.mark.slow
def test_a_window_is_read_off_an_index(viewer: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL)
        cursor.execute(f"ANALYZE {OutboxEvent._meta.db_table}")
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
