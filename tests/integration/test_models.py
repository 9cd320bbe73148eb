"""The outbox's table as each database has it: migrations, columns, defaults and its clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import Gate, HourlyCount, OutboxEvent

TABLE = "moloco_rmp_outboxevent"
#: Less than any two time zones are apart, and more than the clocks of two machines should be.
TOLERANCE = timedelta(minutes=10)


def row(event_id: str = "order-1", **fields: Any) -> OutboxEvent:
    return OutboxEvent.objects.create(
        **{"event_id": event_id, "event_type": "HOME", "payload": "{}", **fields}
    )


def constraints() -> dict[str, Any]:
    """Return the keys and indexes of the table that the database tells of."""
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, TABLE)


def tables() -> list[str]:
    return connection.introspection.table_names()


@pytest.fixture
def migrated() -> Iterator[None]:
    """Leave the database migrated, whatever the test does."""
    yield
    call_command("migrate", "moloco_rmp", verbosity=0)


def test_an_event_goes_by_its_type_and_id() -> None:
    assert str(OutboxEvent(event_id="order-1", event_type="PURCHASE")) == "PURCHASE order-1"


def test_a_gate_goes_by_its_destination() -> None:
    assert str(Gate(name="default")) == "default"


def test_a_count_says_what_it_counts() -> None:
    count = HourlyCount(event_type="PURCHASE", outcome=HourlyCount.Outcome.DELIVERED, count=7)
    assert str(count) == "7 PURCHASE delivered"


@pytest.mark.django_db
def test_the_migrations_are_up_to_date_with_the_models() -> None:
    call_command("makemigrations", "moloco_rmp", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("migrated")
def test_migrations_can_be_undone_and_done_again() -> None:
    before = constraints()
    call_command("migrate", "moloco_rmp", "zero", verbosity=0)
    assert TABLE not in tables()
    call_command("migrate", "moloco_rmp", verbosity=0)
    assert constraints() == before
    row()


@pytest.mark.django_db
def test_the_table_has_its_indexes_and_no_others() -> None:
    found = constraints().values()
    indexed = sorted(each["columns"] for each in found if each["index"] and not each["unique"])
    assert [columns for columns in indexed if columns != ["event_id"]] == [
        ["state", "destination", "available_at", "id"],
        ["state", "finished_at"],
    ]
    unique = [each["columns"] for each in found if each["unique"] and not each["primary_key"]]
    assert unique == [["event_id", "destination"]]
    assert {"moloco_rmp_due", "moloco_rmp_finished"} <= set(constraints())


@pytest.mark.django_db
def test_ids_that_differ_in_case_differ() -> None:
    lower, upper = row("order-a"), row("order-A")
    assert OutboxEvent.objects.get(event_id="order-a") == lower
    assert OutboxEvent.objects.get(event_id="order-A") == upper


@pytest.mark.django_db
def test_an_id_is_there_once() -> None:
    row("order-a")
    with pytest.raises(IntegrityError), transaction.atomic():
        row("order-a")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "text"),
    [
        pytest.param("event_id", "\U0001f6d2" * 128, id="an id of four-byte characters"),
        pytest.param("payload", '{"a": "' + "x" * 100_000 + '"}', id="a large body"),
        pytest.param("last_error", "\u6ce8" * 500, id="a long error"),
    ],
)
def test_the_longest_texts_fit(field: str, text: str) -> None:
    found = OutboxEvent.objects.get(pk=row(**{field: text}).pk)
    assert getattr(found, field) == text


@pytest.fixture(params=["+00:00", "+05:30", "-11:00"])
def session_time_zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """A time zone that the database's administrator may have chosen. (SQLite knows none.)"""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT set_config('TimeZone', %s, true)", [request.param])
        if connection.vendor == "mysql":
            cursor.execute("SET SESSION time_zone = %s", [request.param])
        yield
        if connection.vendor == "mysql":
            cursor.execute("SET SESSION time_zone = DEFAULT")


def age_of(moment: datetime) -> timedelta:
    return abs(datetime.now(UTC) - moment)


@pytest.mark.django_db
def test_a_row_is_due_from_the_moment_it_was_written_by_the_databases_clock() -> None:
    found = OutboxEvent.objects.get(pk=row().pk)
    assert found.available_at == found.created_at
    assert age_of(found.created_at) < TOLERANCE


@pytest.mark.django_db
@pytest.mark.usefixtures("session_time_zone")
def test_the_time_zone_of_the_session_does_not_move_the_clock() -> None:
    found = OutboxEvent.objects.annotate(now=DatabaseNow()).get(pk=row().pk)
    assert age_of(found.created_at) < TOLERANCE
    assert age_of(found.available_at) < TOLERANCE
    assert age_of(found.now) < TOLERANCE
    assert OutboxEvent.objects.filter(available_at__lte=DatabaseNow()).exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "ahead", [timedelta(seconds=90.5), timedelta(seconds=-90), timedelta(days=40, hours=3)]
)
def test_the_clock_can_be_added_to(ahead: timedelta) -> None:
    event = row()
    OutboxEvent.objects.update(available_at=DatabaseNow() + ahead, created_at=DatabaseNow())
    event.refresh_from_db()
    assert abs(event.available_at - event.created_at - ahead) <= timedelta(milliseconds=1)
    late = OutboxEvent.objects.filter(available_at__gt=DatabaseNow() + ahead / 2)
    assert late.exists() is (ahead > timedelta(0))


@pytest.mark.django_db
def test_the_clock_counts_parts_of_a_second() -> None:
    for number in range(3):
        row(f"order-{number}")
    moments = OutboxEvent.objects.values_list("created_at", flat=True)
    assert any(moment.microsecond for moment in moments)


@pytest.mark.django_db
def test_ages_are_measured_in_the_database() -> None:
    row(created_at=DatabaseNow() - timedelta(hours=2))
    age = OutboxEvent.objects.annotate(age=DatabaseNow() - F("created_at")).get().age
    assert timedelta(hours=2) <= age < timedelta(hours=2) + TOLERANCE
