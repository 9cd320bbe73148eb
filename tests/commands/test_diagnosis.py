"""``moloco_status --explain``: each database as it is, and one that does not let us look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections, transaction

from django_moloco_rmp.diagnosis import Finding, Limits, diagnose
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox
from tests.commands.run import run
from tests.outbox.clocks import ShiftedClock
from tests.outbox.samples import event, record, record_many, without_table
from tests.processes.children import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
PROBES = {
    "sqlite": {"isolation", "journal", "timeout"},
    "postgresql": {"isolation", "transactions", "dead rows"},
    "mysql": {"isolation", "transactions", "history"},
}


def found(probe: str, using: str = "default", **options: Any) -> list[Finding]:
    return [each for each in diagnose(using, **options) if each.probe == probe]


def texts(probe: str, using: str = "default") -> str:
    return "\n".join(each.text for each in found(probe, using))


@contextmanager
def second_connection(**settings: Any) -> Iterator[str]:
    """The alias of another connection to the same database."""
    other = connections["default"].copy("second")
    other.settings_dict = {**other.settings_dict, **settings}
    connections["second"] = other
    try:
        yield "second"
    finally:
        other.close()
        del connections["second"]


def execute(using: str, *statements: str) -> None:
    with connections[using].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_what_is_looked_at() -> None:
    findings = list(diagnose("default"))
    assert {each.probe for each in findings} == {"clock", "index use", *PROBES[connection.vendor]}
    assert "not known: the database refuses" not in "".join(each.text for each in findings)


def test_it_is_part_of_the_status() -> None:
    ran = run("moloco_status", "--explain")
    assert "\nDatabase\n  clock         " in ran.out
    told = run("moloco_status", "--explain", "--json").json["database_findings"]
    assert {"probe", "text", "is_fine"} == set(told[0])
    assert "Database" not in run("moloco_status").out.splitlines()


def test_the_clocks_of_one_machine_agree() -> None:
    Gate("default").look()
    (finding,) = found("clock")
    assert finding.is_fine
    assert finding.text.startswith("the database is 0.")


@pytest.mark.parametrize(("seconds", "where"), [(10, "ahead of"), (-10, "behind")])
def test_clocks_that_are_apart_are_told(seconds: int, where: str) -> None:
    Gate("default").look()
    clock = ShiftedClock()
    clock.advance(seconds)
    (finding,) = found("clock", clock=clock)
    assert not finding.is_fine
    assert f" s {where} this machine, " in finding.text
    assert finding.text.endswith("set both by NTP")


def test_a_big_table_is_read_by_its_index() -> None:
    record_many(3_000)
    with connection.cursor() as cursor:
        table = connection.ops.quote_name(OutboxEvent._meta.db_table)
        if connection.vendor != "sqlite":
            cursor.execute(f"ANALYZE {'TABLE ' if connection.vendor == 'mysql' else ''}{table}")
    assert [each.text for each in found("index use")] == [
        "has_due reads the index moloco_rmp_due",
        "claim reads the index moloco_rmp_due",
    ]


@pytest.fixture
def without_index() -> Iterator[None]:
    (index,) = [each for each in OutboxEvent._meta.indexes if each.name == "moloco_rmp_due"]
    with connection.schema_editor() as editor:
        editor.remove_index(OutboxEvent, index)
    yield
    with connection.schema_editor() as editor:
        editor.add_index(OutboxEvent, index)


@pytest.mark.usefixtures("without_index")
def test_an_index_that_is_not_there_is_told_of_a_big_table() -> None:
    record_many(10)
    assert {each.is_fine for each in found("index use")} == {True}
    record_many(1_000)
    finding = found("index use")[-1]
    assert not finding.is_fine
    assert "Is the index there (manage.py migrate)?" in finding.text
    assert "  index use     ! claim does not read" in run("moloco_status", "--explain").out


def test_the_isolation_level() -> None:
    expected = {"sqlite": ["serializable"], "postgresql": ["read committed"]}.get(
        connection.vendor, ["read committed", "repeatable read"]
    )
    assert texts("isolation").startswith(tuple(expected))


NEEDS_SERVER = pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite has neither sessions nor users"
)


@NEEDS_SERVER
def test_another_isolation_level_is_told_and_is_no_fault() -> None:
    scope = "TRANSACTION" if connection.vendor == "mysql" else "CHARACTERISTICS AS TRANSACTION"
    with second_connection() as alias:
        execute(alias, f"SET SESSION {scope} ISOLATION LEVEL SERIALIZABLE")
        (finding,) = found("isolation", alias)
    assert finding.is_fine
    assert finding.text == "serializable: the outbox works with it; conflicts are tried again"


def transactions(limits: Limits) -> Finding:
    """What is found about the longest open transaction."""
    if connection.vendor == "mysql":
        # InnoDB makes its list anew only if nobody has read it for a tenth of a second.
        execute("default", "SELECT SLEEP(0.2)")
    return found("transactions", limits=limits)[0]


@NEEDS_SERVER
# InnoDB's list is the whole server's, on which other suites may have transactions open for long.
@pytest.mark.parametrize(("limit", "is_fine"), [(1e9, True), (-1, False)])
def test_an_open_transaction_is_seen_and_told_if_it_is_too_long(
    limit: float, is_fine: bool
) -> None:
    limits = Limits(transaction=limit)
    begins = "the longest open transaction runs for "
    with second_connection() as alias, transaction.atomic(using=alias):
        OutboxEvent.objects.using(alias).create(event_id="a", event_type="HOME", payload="")
        wait_until(lambda: transactions(limits).text.startswith(begins))
        finding = transactions(limits)
    assert finding.is_fine is is_fine
    assert finding.text.endswith("each look gets slower: end it") is not is_fine


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="a matter of PostgreSQL")
def test_dead_rows_that_outnumber_the_living_are_told() -> None:
    with second_connection() as alias:
        for number in range(5):
            Outbox(alias).record(event(str(number)), keeps_id=False)
        OutboxEvent.objects.using(alias).all().delete()
    # The server counts what a session did, at the latest when it has ended.
    wait_until(lambda: not found("dead rows", limits=Limits(dead_rows=4))[0].is_fine)
    assert texts("dead rows").startswith("5 dead rows beside 0 live ones")
    assert found("dead rows")[0].is_fine


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="a matter of InnoDB")
def test_a_long_history_is_told() -> None:
    record("a", "b")
    with second_connection() as alias:
        execute(
            alias,
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        )
        for number in range(3):
            OutboxEvent.objects.update(attempts=number + 1)
        wait_until(lambda: not found("history", limits=Limits(history=0))[0].is_fine)
        assert found("history", limits=Limits(history=10**9))[0].is_fine


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="a matter of SQLite")
def test_sqlite_is_advised_to_use_wal() -> None:
    (finding,) = found("journal")
    assert not finding.is_fine
    assert "PRAGMA journal_mode=WAL" in finding.text
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")
        assert found("journal")[0].is_fine
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode=DELETE")


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="a matter of SQLite")
def test_a_short_timeout_of_sqlite_is_told() -> None:
    assert "waits 5 s" in found("timeout")[0].text
    try:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout=100")
        assert found("timeout")[0].text.endswith("Raise OPTIONS['timeout'] to 20 or so")
        assert not found("timeout")[0].is_fine
    finally:
        connection.close()


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="a matter of SQLite")
@pytest.mark.parametrize("mode", ["immediate", "EXCLUSIVE"])
def test_transactions_of_sqlite_that_write_from_the_first_are_fine(mode: str) -> None:
    assert "OPTIONS {'transaction_mode': 'IMMEDIATE'} has it wait" in texts("timeout")
    with second_connection(OPTIONS={"transaction_mode": mode}) as alias:
        assert f"transactions begin {mode.upper()}, so waiting helps" in texts("timeout", alias)


def test_what_the_database_refuses_to_tell_is_said_and_the_rest_goes_on() -> None:
    with without_table():
        findings = list(diagnose("default"))
    refused = [each for each in findings if "the database refuses to tell" in each.text]
    assert [each.probe for each in refused] == ["index use"]
    assert len(findings) > len(PROBES[connection.vendor])


@pytest.fixture
def plain_user() -> Iterator[str]:
    """The alias of a connection as a user who has rights on the shop's tables, and no others."""
    name = connection.settings_dict["NAME"]
    tables = ", ".join(f"moloco_rmp_{each}" for each in ("outboxevent", "gate"))
    is_mysql = connection.vendor == "mysql"
    user = "moloco_plain@'%'" if is_mysql else "moloco_plain"
    grant = f"`{name}`.*" if is_mysql else tables
    end = [] if is_mysql else ["DROP OWNED BY moloco_plain"]
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {user}" if is_mysql else f"CREATE ROLE {user} LOGIN")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {grant} TO {user}")
    other = connections["default"].copy("plain")
    other.settings_dict = {**other.settings_dict, "USER": "moloco_plain", "PASSWORD": ""}
    connections["plain"] = other
    try:
        yield "plain"
    finally:
        other.close()
        del connections["plain"]
        with connection.cursor() as cursor:
            for statement in [*end, f"DROP {'USER' if is_mysql else 'ROLE'} {user}"]:
                cursor.execute(statement)


@NEEDS_SERVER
@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_user_who_may_not_see_other_transactions(plain_user: str, in_transaction: bool) -> None:
    try:
        connections[plain_user].ensure_connection()
    except Exception as error:
        pytest.skip(f"this server lets no user in without a password: {error}")
    if in_transaction:
        with transaction.atomic(using=plain_user):
            findings = list(diagnose(plain_user))
    else:
        findings = list(diagnose(plain_user))
    told = {each.probe: each.text for each in findings}
    if connection.vendor == "mysql":
        assert told["transactions"].startswith("not known: the database refuses to tell")
        assert told["history"].startswith("not known: the database refuses to tell")
    else:
        assert "others need the role pg_read_all_stats" in told["transactions"]
    assert told["isolation"]
