"""
Events on stock: as many rows of the outbox as a benchmark needs, copied from one by the database.

One event is reported in the ordinary way. Its copies differ in their ids and identifiers, and each
is a few milliseconds older than the one before it.
"""

from __future__ import annotations

from typing import Any

from django.db import connections, transaction

from benchmarks.visits import Visits
from django_moloco_rmp import Item, Money, track_add_to_cart
from django_moloco_rmp.models import OutboxEvent

#: For bodies that are not sent, so that a million of them are written sooner.
SHORT_BODY = '{"event_type":"ADD_TO_CART"}'
_MOMENTS = ("available_at", "created_at", "finished_at")
# By vendor: the numbers from 1 to `count`, and of such a number n what the columns are made of.
_SERIES = {
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count})"
    " SELECT n FROM s) AS series",
    "postgresql": "generate_series(1, {count}) AS series(n)",
    "mysql": "(SELECT seq AS n FROM seq_1_to_{count}) AS series",
}
_EVENT_ID = {
    "sqlite": "'{prefix}-' || n",
    "postgresql": "'{prefix}-' || n",
    "mysql": "concat('{prefix}-', n)",
}
_IDENTIFIER = {
    "sqlite": "printf('%%032d', n / 5)",
    "postgresql": "lpad((n / 5)::text, 32, '0')",
    "mysql": "lpad(n div 5, 32, '0')",
}
_EARLIER = {
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', {column}, '-' || (n * 0.003) || ' seconds')",
    "postgresql": "{column} - n * interval '3 ms'",
    "mysql": "{column} - INTERVAL n * 3000 MICROSECOND",
}


def fill(count: int, using: str = "default", *, prefix: str = "event", **values: Any) -> None:
    """
    Add pending events to an outbox.

    :param prefix: their ids begin with it
    :param values: of columns, where not as they were recorded
    """
    connection = connections[using]
    vendor = connection.vendor
    quote = connection.ops.quote_name
    rows = OutboxEvent._base_manager.using(using)
    with transaction.atomic(using=using):
        found = Visits().during(
            lambda: track_add_to_cart(
                Item("lamp-red", price=Money("19.90"), quantity=1), using=using
            )
        )
        assert found is not None, "the event to be copied was not recorded"
        if values:
            rows.filter(event_id=found).update(**values)
        event_id = _EVENT_ID[vendor].format(prefix=prefix)
        made = {
            "event_id": event_id,
            "identifier": _IDENTIFIER[vendor],
            "payload": f"replace(payload, '{found}', {event_id})",
            **{each: _EARLIER[vendor].format(column=each) for each in _MOMENTS},
        }
        columns = [str(each.column) for each in OutboxEvent._meta.fields if not each.primary_key]
        table = quote(OutboxEvent._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(map(quote, columns))})"
                f" SELECT {', '.join(made.get(each, quote(each)) for each in columns)}"
                f" FROM {table}, {_SERIES[vendor].format(count=count)} WHERE event_id = %s",
                [found],
            )
        rows.filter(event_id=found).delete()


def clear(using: str = "default") -> None:
    """Empty an outbox, so that nothing is left of its rows."""
    connection = connections[using]
    table = connection.ops.quote_name(OutboxEvent._meta.db_table)
    verb = "DELETE FROM" if connection.vendor == "sqlite" else "TRUNCATE TABLE"
    with connection.cursor() as cursor:
        cursor.execute(f"{verb} {table}")


def analyse(using: str = "default") -> None:
    """Have the database do now what it else does by itself a minute later: count, and clear up."""
    connection = connections[using]
    table = connection.ops.quote_name(OutboxEvent._meta.db_table)
    statements = {
        "postgresql": ("VACUUM ANALYZE {table}",),
        # The first returns once what no one needs of changed rows is gone.
        "mysql": ("SET GLOBAL innodb_max_purge_lag_wait = 0", "ANALYZE TABLE {table}"),
    }
    with connection.cursor() as cursor:
        for each in statements.get(connection.vendor, ("ANALYZE {table}",)):
            cursor.execute(each.format(table=table))
