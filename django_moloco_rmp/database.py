"""The database: its own clock, and what to do when it could not do something this time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connections
from django.db.models import BigIntegerField, Func
from django.db.models.functions import Now

_T = TypeVar("_T")

_TRIES = 5
_FIRST_WAIT = 0.02


class DatabaseNow(Now):
    """
    The database's clock, the only one that schedules and leases are measured with.

    In UTC on MySQL too, where ``CURRENT_TIMESTAMP`` follows the server's time zone and jumps with
    daylight saving time.
    """

    def as_mysql(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        """Return UTC, to the microsecond."""
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra_context)


class DatabaseMicroseconds(Func):
    """The same clock as microseconds since the epoch: a number that no time zone can shift."""

    output_field = BigIntegerField()
    arity = 0

    def as_sqlite(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        """Return milliseconds as microseconds, which is all that SQLite knows."""
        template = (
            "(CAST(STRFTIME('%%%%s', 'NOW') AS INTEGER) * 1000000"
            " + CAST(SUBSTR(STRFTIME('%%%%f', 'NOW'), 4) AS INTEGER) * 1000)"
        )
        return self.as_sql(compiler, connection, template=template, **extra_context)

    def as_postgresql(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        """Return the time of the statement, not that of its transaction."""
        template = "(EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP()) * 1000000)::bigint"
        return self.as_sql(compiler, connection, template=template, **extra_context)

    def as_mysql(self, compiler: Any, connection: Any, **extra_context: Any) -> Any:
        """Return the time of the statement."""
        template = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
        return self.as_sql(compiler, connection, template=template, **extra_context)


class Clock:
    """Where outbox and gate have the time from: the database. A test may have another."""

    def now(self) -> Any:
        """Return an expression for the present moment."""
        return DatabaseNow()

    def microseconds(self) -> Any:
        """Return an expression for the same as microseconds since the epoch."""
        return DatabaseMicroseconds()


def retrying(using: str, work: Callable[[], _T]) -> _T:
    """
    Do some work in a database, and again if the database could not do it this time.

    Deadlocks, serialization failures, a locked database and lost connections pass: there are five
    tries within about half a second. Inside of a transaction of the caller there is only one, as
    only the caller could begin it anew.

    :param using: the database's alias
    :param work: has to be repeatable, with its own transaction
    :raises django.db.Error: all tries failed; the error is the last one's
    """
    connection = connections[using]
    if connection.in_atomic_block:
        return work()
    for number in range(1, _TRIES):
        try:
            return work()
        except (OperationalError, InterfaceError):
            connection.close_if_unusable_or_obsolete()
            time.sleep(_FIRST_WAIT * 2 ** (number - 1) * random.uniform(1, 2))  # noqa: S311
    return work()


def found_by_key(using: str, table: str) -> AbstractContextManager[None]:
    """
    Have the rows of an UPDATE or DELETE found by key alone, so that no other row gets locked.

    InnoDB locks what it looks at, which is all of a small table if the choice is its own: it would
    wait for each open transaction of the shop that has an event in it.

    :param using: the database's alias
    :param table: the one table of the statements
    """
    connection = connections[using]
    if connection.vendor != "mysql":
        return nullcontext()
    return connection.execute_wrapper(partial(_force_primary_key, table))


def _force_primary_key(
    table: str, execute: Any, sql: str, params: Any, many: bool, context: Any
) -> Any:
    name = context["connection"].ops.quote_name(table)
    if name not in sql:  # what a new connection begins with
        return execute(sql, params, many, context)
    start, rest = sql.split(name, 1)
    if start.startswith("DELETE"):  # only the form for several tables takes a hint
        start = start.replace("FROM", f"{name} FROM")
    return execute(f"{start}{name} FORCE INDEX (PRIMARY){rest}", params, many, context)
