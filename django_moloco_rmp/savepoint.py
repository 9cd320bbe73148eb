"""
A statement whose failure leaves the transaction around it usable.

PostgreSQL gives up a whole transaction for one failed statement; on other databases only the
statement is undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import Error, connections, transaction

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
    try:
        with connection.cursor() as cursor:
            # On one way to the server and back instead of three.
            cursor.execute(
                f"SAVEPOINT {_NAME}; {statement}; RELEASE SAVEPOINT {_NAME}", list(values)
            )
            cursor.nextset()
            return int(cursor.rowcount)
    except BaseException:
        _roll_back(connection)
        raise


def _execute(connection: Any, statement: str, values: Sequence[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values))
        return int(cursor.rowcount)


def _takes_several(connection: Any) -> bool:
    """Return whether the driver sends several statements as one, and tells of each."""
    return (
        connection.Database.__name__ == "psycopg"
        and not connection.features.uses_server_side_binding
    )


def _roll_back(connection: Any) -> None:
    # Nothing has come to the server, or nothing has failed there.
    if connection.connection.info.transaction_status.name == "INTRANS":
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"ROLLBACK TO SAVEPOINT {_NAME}; RELEASE SAVEPOINT {_NAME}")
    except Error:
        # As Django does it: nothing that follows may be committed.
        if connection.in_atomic_block:
            connection.set_rollback(True)
