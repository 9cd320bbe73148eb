"""
What may be wrong with the database below the outbox, one finding after another.

A probe that the database's user has no right to make says so, and the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import Error, connections, transaction

from django_moloco_rmp.database import Clock
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.protocol import SECOND

_DUE_INDEX = "moloco_rmp_due"
#: Tables below this are read as a whole by right.
_SMALL = 1000
# Seconds that a clock may be off before Moloco takes events for ones of the future or the past.
_MOST_SKEW = 2.0
# Seconds after which a transaction keeps old row versions for long.
_LONG_TRANSACTION = 300.0
_LONG_HISTORY = 100_000
_SHORT_TIMEOUT = 5_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found; ``is_fine`` unless somebody should do what ``text`` says."""

    probe: str
    text: str
    is_fine: bool = True


def diagnose(using: str) -> Iterator[Finding]:
    """
    Look at the database of an outbox; changes nothing.

    :param using: the database's alias
    """
    connection = connections[using]
    connection.ensure_connection()
    probes: list[tuple[str, Callable[[Any], Iterator[tuple[str, bool]]]]] = [
        ("clock", _clock),
        ("index use", _index_use),
        *_BY_VENDOR.get(connection.vendor, ()),
    ]
    for name, probe in probes:
        try:
            # PostgreSQL gives up a whole transaction for one failed statement.
            with transaction.atomic(using=using) if connection.in_atomic_block else nullcontext():
                findings = [Finding(name, text, is_fine) for text, is_fine in probe(connection)]
        except Error as error:
            text = str(error).strip().partition("\n")[0]
            findings = [Finding(name, f"not known: the database refuses to tell ({text})")]
        yield from findings


def _clock(connection: Any) -> Iterator[tuple[str, bool]]:
    gate = apps.get_model("moloco_rmp", "Gate")
    rows = gate._base_manager.using(connection.alias).annotate(now=Clock().microseconds())
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
    if abs(skew) - margin <= _MOST_SKEW:
        yield text, True
    else:
        yield (
            f"{text}. Schedules go by the database's clock alone, but events are dated by this "
            "machine's: set both by NTP",
            False,
        )


def _index_use(connection: Any) -> Iterator[tuple[str, bool]]:
    table = apps.get_model("moloco_rmp", "OutboxEvent")._base_manager.using(connection.alias)
    is_small = table.all()[:_SMALL].count() < _SMALL
    for name, plan in Outbox(connection.alias).plans().items():
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


def _sqlite_journal(connection: Any) -> Iterator[tuple[str, bool]]:
    mode = str(_rows(connection, "PRAGMA journal_mode")[0][0])
    if mode == "wal":
        yield "WAL: readers and the writer do not wait for each other", True
    else:
        yield (
            f"{mode}: readers and writers wait for each other. Set it to WAL, by OPTIONS "
            "{'init_command': 'PRAGMA journal_mode=WAL'}",
            False,
        )


def _sqlite_timeout(connection: Any) -> Iterator[tuple[str, bool]]:
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


def _sqlite_isolation(connection: Any) -> Iterator[tuple[str, bool]]:
    yield "serializable: SQLite has one writer at a time", True


def _postgresql_isolation(connection: Any) -> Iterator[tuple[str, bool]]:
    level = str(_rows(connection, "SHOW transaction_isolation")[0][0])
    yield _isolation(level), True


def _isolation(level: str) -> str:
    if level == "read committed":
        return f"{level}, as is Django's default"
    return f"{level}: the outbox works with it; conflicts are tried again"


def _postgresql_transactions(connection: Any) -> Iterator[tuple[str, bool]]:
    can_see = _rows(
        connection, "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
    ) == [(True,)]
    longest, oldest_xmin = _rows(
        connection,
        "SELECT EXTRACT(EPOCH FROM MAX(clock_timestamp() - xact_start)), MAX(AGE(backend_xmin))"
        " FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()",
    )[0]
    whose = "" if can_see else " (of this database user; others need the role pg_read_all_stats)"
    if longest is None:
        yield f"no other transaction is open{whose}", True
    else:
        yield _transactions(float(longest), whose, "VACUUM cannot remove rows that were delivered")
    held_back = int(oldest_xmin or 0)
    yield f"the oldest snapshot is {held_back:,} transactions old{whose}", True


def _transactions(longest: float, whose: str, harm: str) -> tuple[str, bool]:
    text = f"the longest open transaction runs for {longest:.0f} s{whose}"
    if longest <= _LONG_TRANSACTION:
        return text, True
    return f"{text}. As long as it does, {harm}, and each look gets slower: end it", False


def _postgresql_dead_rows(connection: Any) -> Iterator[tuple[str, bool]]:
    table = apps.get_model("moloco_rmp", "OutboxEvent")._meta.db_table
    found = _rows(
        connection,
        "SELECT n_dead_tup, n_live_tup FROM pg_stat_user_tables WHERE relid = to_regclass(%s)",
        table,
    )
    dead, live = map(int, found[0]) if found else (0, 0)
    text = f"{dead:,} dead rows beside {live:,} live ones in {table}"
    if dead <= 100_000 or dead <= live:
        yield text, True
    else:
        yield (
            f"{text}: autovacuum does not keep up. Lower autovacuum_vacuum_scale_factor of the "
            "table, and see the open transactions",
            False,
        )


def _mysql_isolation(connection: Any) -> Iterator[tuple[str, bool]]:
    # The name of the variable differs between MySQL and MariaDB.
    found = _rows(
        connection,
        "SHOW SESSION VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')",
    )
    yield _isolation(str(found[0][1]).lower().replace("-", " ")), True


def _mysql_transactions(connection: Any) -> Iterator[tuple[str, bool]]:
    number, longest = _rows(
        connection,
        "SELECT COUNT(*), MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW()))"
        " FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id <> CONNECTION_ID()",
    )[0]
    if number:
        yield _transactions(
            float(longest), "", "InnoDB cannot purge old versions of rows that were delivered"
        )
    else:
        yield "no other transaction is open", True


def _mysql_history(connection: Any) -> Iterator[tuple[str, bool]]:
    found = _rows(
        connection,
        "SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'",
    )
    if not found:
        yield "not known: the server does not count it", True
        return
    length = int(found[0][0])
    text = f"{length:,} transactions whose old row versions are still to be purged"
    if length <= _LONG_HISTORY:
        yield text, True
    else:
        yield (
            f"{text}: looks get slower. End long transactions, and see innodb_purge_threads",
            False,
        )


_BY_VENDOR = {
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
