"""
A statement whose failure leaves the transaction around it usable.

PostgreSQL gives up a whole transaction for one failed statement; on other databases only the
statement is undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections, transaction

# Of ours alone: Django's own are numbered.
_NAME = "moloco_rmp"


def execute_apart(using: str, statement: str, values: Sequence[Any]) -> int:
    """
    Execute a statement in the transaction that is open on a database, if any.

    :param using: the database's alias
    :return: how many rows it is about
    :raises django.db.Error: it failed, and nothing but itself is undone
    """
    connection = connections[using]
    if connection.vendor != "postgresql" or connection.get_autocommit():
        return _execute(connection, statement, values)
    if not _takes_several(connection):
        with transaction.atomic(using=using):
            return _execute(connection, statement, values)
    has_failed = _has_failed(connection)
    try:
        with connection.cursor() as cursor:
            # On one way to the server and back instead of three.
            cursor.execute(
                f"SAVEPOINT {_NAME}; {statement}; RELEASE SAVEPOINT {_NAME}", list(values)
            )
            cursor.nextset()
            return int(cursor.rowcount)
    except BaseException:
        # A failure from before is the shop's to undo; and nothing may have come to the server.
        if _has_failed(connection) and not has_failed:
            _execute(connection, f"ROLLBACK TO SAVEPOINT {_NAME}; RELEASE SAVEPOINT {_NAME}", ())
        raise


def _execute(connection: Any, statement: str, values: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values))
        return int(cursor.rowcount)


def _takes_several(connection: Any) -> bool:
    """Return whether several statements can be sent as one, and each tells how many rows it is."""
    return (
        connection.Database.__name__ == "psycopg"
        and not connection.features.uses_server_side_binding
        # They are written for one statement, and may read on to the last result.
        and not connection.execute_wrappers
    )


def _has_failed(connection: Any) -> bool:
    """Return whether the transaction is one that can only be rolled back."""
    return bool(connection.connection.info.transaction_status.name == "INERROR")
