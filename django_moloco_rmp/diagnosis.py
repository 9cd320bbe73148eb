"""
What may be wrong with the database below the outbox, one finding after another.

A probe that the database's user has no right to make says so, and the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.apps import apps
from django.db import Error, connections, transaction

from django_moloco_rmp.conf import named_destinations
from django_moloco_rmp.database import Clock
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.protocol import SECOND

_DUE_INDEX = "moloco_rmp_due"
#: Tables below this are read as a whole by right.
_SMALL = 1000
_SHORT_TIMEOUT = 5_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found; ``is_fine`` unless somebody should do what ``text`` says."""

    probe: str
    text: str
    is_fine: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What is fine up to here.

    ``skew`` is how many seconds the clocks may be apart before Moloco takes events for ones of the
    future or the past, ``transaction`` how many one may be open before it keeps old versions of
    rows for long. ``dead_rows`` and ``history`` are numbers of such versions.
    """

    skew: float = 2.0
    transaction: float = 300.0
    dead_rows: int = 100_000
    history: int = 100_000


_LIMITS = Limits()
_Findings = Iterator[tuple[str, bool]]
_Probe = Callable[[Any, Limits], _Findings]


def diagnose(
    using: str, *, clock: Clock | None = None, limits: Limits = _LIMITS
) -> Iterator[Finding]:
    """
    Look at the database of an outbox; changes nothing.

    :param using: the database's alias
    :param clock: the database's, unless a test has another
    :param limits: beyond which a finding is a fault
    """
    connection = connections[using]
    connection.ensure_connection()
    probes: list[tuple[str, _Probe]] = [
        ("clock", partial(_clock, clock or Clock())),
        ("index use", _index_use),
        *_BY_VENDOR.get(connection.vendor, ()),
    ]
    for name, probe in probes:
        try:
            # PostgreSQL gives up a whole transaction for one failed statement.
            with transaction.atomic(using=using) if connection.in_atomic_block else nullcontext():
                findings = [
                    Finding(name, text, is_fine) for text, is_fine in probe(connection, limits)
                ]
        except Error as error:
            text = str(error).strip().partition("\n")[0]
            findings = [Finding(name, f"not known: the database refuses to tell ({text})")]
        yield from findings


def _clock(clock: Clock, connection: Any, limits: Limits) -> _Findings:
    gate = apps.get_model("moloco_rmp", "Gate")
    rows = gate._base_manager.using(connection.alias).annotate(now=clock.microseconds())
    before = time.time()
    moment = rows.values_list("now", flat=True).first()
    after = time.time()
    if moment is None:
        yield "not known yet: no relay has run", True
        return
    skew = moment / SECOND - (before + after) / 2
    margin = (after - before) / 2
    text = (
        f"the database is {abs(skew):.3f} s {'ahead of' if skew > 0 else 'behind'} this machine, "
        f"give or take {margin:.3f} s"
    )
    if abs(skew) - margin <= limits.skew:
        yield text, True
    else:
        yield (
            f"{text}. Schedules go by the database's clock alone, but events are dated by this "
            "machine's: set both by NTP",
            False,
        )


def _index_use(connection: Any, limits: Limits) -> _Findings:
    table = apps.get_model("moloco_rmp", "OutboxEvent")._base_manager.using(connection.alias)
    is_small = table.all()[:_SMALL].count() < _SMALL
    # One stands for all: the index has them in front.
    for name, plan in Outbox(connection.alias, named_destinations()[0]).plans().items():
        if _DUE_INDEX in plan:
            yield f"{name} reads the index {_DUE_INDEX}", True
        elif is_small:
            yield f"{name} reads the table, which is small: that is faster than an index", True
        else:
            yield (
                f"{name} does not read the index {_DUE_INDEX}, so each look costs more the longer "
                "the backlog is. Is the index there (manage.py migrate)? Are the statistics fresh "
                "(ANALYZE)?",
                False,
            )


def _rows(connection: Any, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [tuple(row) for row in cursor.fetchall()]


def _sqlite_journal(connection: Any, limits: Limits) -> _Findings:
    mode = str(_rows(connection, "PRAGMA journal_mode")[0][0])
    if mode == "wal":
        yield "WAL: readers and the writer do not wait for each other", True
    else:
        yield (
            f"{mode}: readers and writers wait for each other. Set it to WAL, by OPTIONS "
            "{'init_command': 'PRAGMA journal_mode=WAL'}",
            False,
        )


def _sqlite_timeout(connection: Any, limits: Limits) -> _Findings:
    milliseconds = int(_rows(connection, "PRAGMA busy_timeout")[0][0])
    text = f"a writer waits {milliseconds / 1000:g} s for its turn before 'database is locked'"
    if milliseconds < _SHORT_TIMEOUT:
        yield f"{text}. Raise OPTIONS['timeout'] to 20 or so", False
    else:
        yield text, True
    mode = connection.settings_dict.get("OPTIONS", {}).get("transaction_mode")
    if str(mode).upper() in {"IMMEDIATE", "EXCLUSIVE"}:
        yield f"transactions begin {str(mode).upper()}, so waiting helps", True
    else:
        yield (
            "a transaction of the shop that reads before it writes may fail at once if another "
            "writes meanwhile: OPTIONS {'transaction_mode': 'IMMEDIATE'} has it wait. The outbox's "
            "own transactions write first",
            True,
        )


def _sqlite_isolation(connection: Any, limits: Limits) -> _Findings:
    yield "serializable: SQLite has one writer at a time", True


def _postgresql_isolation(connection: Any, limits: Limits) -> _Findings:
    level = str(_rows(connection, "SHOW transaction_isolation")[0][0])
    yield _isolation(level), True


def _isolation(level: str) -> str:
    if level == "read committed":
        return f"{level}, as is Django's default"
    return f"{level}: the outbox works with it; conflicts are tried again"


def _postgresql_transactions(connection: Any, limits: Limits) -> _Findings:
    can_see = _rows(
        connection, "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
    ) == [(True,)]
    longest, oldest_xmin = _rows(
        connection,
        "SELECT EXTRACT(EPOCH FROM MAX(clock_timestamp() - xact_start)), MAX(AGE(backend_xmin))"
        " FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()",
    )[0]
    whose = "" if can_see else " (of this database user; others need the role pg_read_all_stats)"
    harm = "VACUUM cannot remove rows that were delivered"
    yield _transactions(longest, limits, whose, harm)
    held_back = int(oldest_xmin or 0)
    yield f"the oldest snapshot is {held_back:,} transactions old{whose}", True


def _transactions(longest: Any, limits: Limits, whose: str, harm: str) -> tuple[str, bool]:
    if longest is None:
        return f"no other transaction is open{whose}", True
    text = f"the longest open transaction runs for {longest:.0f} s{whose}"
    if longest <= limits.transaction:
        return text, True
    return f"{text}. As long as it does, {harm}, and each look gets slower: end it", False


def _postgresql_dead_rows(connection: Any, limits: Limits) -> _Findings:
    table = apps.get_model("moloco_rmp", "OutboxEvent")._meta.db_table
    found = _rows(
        connection,
        "SELECT n_dead_tup, n_live_tup FROM pg_stat_user_tables WHERE relid = to_regclass(%s)",
        table,
    )
    dead, live = map(int, found[0]) if found else (0, 0)
    text = f"{dead:,} dead rows beside {live:,} live ones in {table}"
    if dead <= limits.dead_rows or dead <= live:
        yield text, True
    else:
        yield (
            f"{text}: autovacuum does not keep up. Lower autovacuum_vacuum_scale_factor of the "
            "table, and see the open transactions",
            False,
        )


def _mysql_isolation(connection: Any, limits: Limits) -> _Findings:
    # The name of the variable differs between MySQL and MariaDB.
    found = _rows(
        connection,
        "SHOW SESSION VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')",
    )
    yield _isolation(str(found[0][1]).lower().replace("-", " ")), True


def _mysql_transactions(connection: Any, limits: Limits) -> _Findings:
    ((longest,),) = _rows(
        connection,
        "SELECT MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())) FROM information_schema.INNODB_TRX"
        " WHERE trx_mysql_thread_id <> CONNECTION_ID()",
    )
    harm = "InnoDB cannot purge old versions of rows that were delivered"
    yield _transactions(longest, limits, "", harm)


def _mysql_history(connection: Any, limits: Limits) -> _Findings:
    ((count,),) = _rows(
        connection,
        "SELECT COALESCE(MAX(COUNT), 0) FROM information_schema.INNODB_METRICS"
        " WHERE NAME = 'trx_rseg_history_len'",
    )
    length = int(count)
    text = f"{length:,} transactions whose old row versions are still to be purged"
    if length <= limits.history:
        yield text, True
    else:
        yield (
            f"{text}: looks get slower. End long transactions, and see innodb_purge_threads",
            False,
        )


_BY_VENDOR: dict[str, tuple[tuple[str, _Probe], ...]] = {
    "sqlite": (
        ("isolation", _sqlite_isolation),
        ("journal", _sqlite_journal),
        ("timeout", _sqlite_timeout),
    ),
    "postgresql": (
        ("isolation", _postgresql_isolation),
        ("transactions", _postgresql_transactions),
        ("dead rows", _postgresql_dead_rows),
    ),
    "mysql": (
        ("isolation", _mysql_isolation),
        ("transactions", _mysql_transactions),
        ("history", _mysql_history),
    ),
}
