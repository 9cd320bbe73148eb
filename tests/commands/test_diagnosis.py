"""``moloco_status --explain``: each database as it is, and one that does not let us look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, connections, transaction

from django_moloco_rmp.diagnosis import Finding, diagnose
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from tests.commands.run import run
from tests.outbox.samples import record_many, without_table
from tests.processes.children import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
PROBES = {
    "sqlite": {"isolation", "journal", "timeout"},
    "postgresql": {"isolation", "transactions", "dead rows"},
    "mysql": {"isolation", "transactions", "history"},
}


def found(probe: str) -> list[Finding]:
    return [each for each in diagnose("default") if each.probe == probe]


def texts(probe: str) -> str:
    return "\n".join(each.text for each in found(probe))


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


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no list of transactions")
def test_an_open_transaction_is_seen() -> None:
    other = connections["default"].copy("second")
    connections["second"] = other
    try:
        with transaction.atomic(using="second"):
            OutboxEvent.objects.using("second").create(event_id="a", event_type="HOME", payload="")
            # InnoDB's list may be a tenth of a second old.
            wait_until(lambda: "the longest open transaction runs for " in texts("transactions"))
    finally:
        other.close()
        del connections["second"]


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


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no users")
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
