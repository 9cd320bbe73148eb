"""The outbox, the buffer and the backlog where events go to several destinations."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp.backlog import Backlog, Selection, known_destinations
from django_moloco_rmp.buffer import Buffer
from django_moloco_rmp.counts import DROPPED, Counts
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Entry, Outbox
from tests.integration.visits import configured
from tests.outbox.samples import DAY, MINUTE, event, ids, record, record_many
from tests.outbox.test_plans import SORTING, plans, update_statistics

pytestmark = pytest.mark.django_db(transaction=True)

State = OutboxEvent.State
KEYS = {"PLATFORM_ID": "SHOP", "API_KEY": "k"}


def rows() -> list[tuple[str, str]]:
    found = OutboxEvent.objects.order_by("id")
    return list(found.values_list("event_id", "destination"))


def test_each_takes_up_its_own() -> None:
    record("a", "b", to="de")
    record("c", to="fr")
    de, fr = Outbox("default", "de"), Outbox("default", "fr")
    assert not Outbox("default").has_due()
    assert (de.pending(), fr.pending(), Outbox("default").pending()) == (2, 1, 0)
    lease = de.claim(10, MINUTE)
    assert ids(lease) == ["a", "b"]
    assert {each.destination for each in lease.events} == {"de"}
    assert not de.has_due()
    assert fr.has_due()
    assert ids(Outbox("default").claim(10, MINUTE)) == []
    assert ids(fr.claim(10, MINUTE)) == ["c"]


def test_an_id_is_known_to_each_by_itself() -> None:
    for name in ("de", "fr"):
        assert Outbox("default", name).record(event("order-1"), keeps_id=True)
        assert not Outbox("default", name).record(event("order-1"), keeps_id=True)
    assert rows() == [("order-1", "de"), ("order-1", "fr")]
    with pytest.raises(IntegrityError), transaction.atomic():
        OutboxEvent.objects.create(event_id="order-1", destination="fr")


def test_many_are_written_at_once_for_whichever() -> None:
    entries = [
        Entry.of(event(event_id), destination=name)
        for event_id, name in (("a", "de"), ("b", "fr"), ("a", "fr"), ("a", "de"))
    ]
    Outbox("default").record_all(entries)
    Outbox("default").record_all(entries)
    assert rows() == [("a", "de"), ("b", "fr"), ("a", "fr")]


def test_a_delivered_id_stays_known_to_its_destination_alone() -> None:
    record("order-1", keeps_id=True, to="de")
    outbox = Outbox("default", "de")
    lease = outbox.claim(1, MINUTE)
    assert outbox.delivered(lease.token, lease.events) == 1
    assert not outbox.record(event("order-1"), keeps_id=True)
    assert Outbox("default", "fr").record(event("order-1"), keeps_id=True)


def test_what_is_old_goes_whatever_its_destination() -> None:
    old = DatabaseNow() - 31 * DAY
    record_many(2, destination="gone", state=State.REJECTED, finished_at=old)
    record_many(1, destination="gone", state=State.SENT, finished_at=old)
    assert sum(Outbox("default", "de").prune(dedupe=30 * DAY, rejected=30 * DAY)) == 3


def test_a_row_of_before_goes_to_the_default() -> None:
    # As a process writes it that does not know the column yet.
    table, columns = OutboxEvent._meta.db_table, "event_id, event_type, payload"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({columns}) VALUES ('a', 'HOME', '{{}}')")
    assert rows() == [("a", "default")]


def test_a_look_reads_no_other_destination() -> None:
    record_many(3_000, destination="down")
    record_many(3, destination="up")
    record_many(500, destination="down", state=State.REJECTED, finished_at=DatabaseNow())
    update_statistics()
    backlog = Backlog("default", "up")
    looks = (
        Outbox("default", "up").has_due,
        backlog.longest_due,
        lambda: Outbox("default", "up").claim(2, MINUTE),
    )
    for look in looks:
        plan = plans(look)[0]
        assert "moloco_rmp_due" in plan
        assert SORTING[connection.vendor] not in plan


def test_the_buffer_writes_for_all_and_tells_whom_to_wake() -> None:
    buffer = Buffer()
    for name in ("de", "fr", "de"):
        buffer.put(Entry.of(event(event_type="HOME"), destination=name), "default")
    with CaptureQueriesContext(connection) as queries:
        assert buffer.drain() == {("default", "de"), ("default", "fr")}
    assert len([each for each in queries if each["sql"].startswith("INSERT")]) == 1
    assert [name for _, name in rows()] == ["de", "fr", "de"]


def test_what_was_shed_is_counted_for_its_destination() -> None:
    buffer = Buffer(most=1)
    for name in ("de", "fr", "de", "fr"):
        buffer.put(Entry.of(event(event_type="HOME"), destination=name), "default")
    buffer.drain()
    dropped = dict(GateRow.objects.values_list("name", "dropped"))
    assert dropped == {"de": 2, "fr": 1}
    assert Counts("default", "de").totals() == {("HOME", DROPPED): 2}
    assert Counts("default", "fr").totals() == {("HOME", DROPPED): 1}


def test_the_backlog_is_that_of_one() -> None:
    since = DatabaseNow() - timedelta(hours=1)
    record_many(2, destination="de", available_at=since)
    record_many(3, destination="fr")
    record_many(4, destination="fr", state=State.REJECTED, finished_at=DatabaseNow())
    record_many(5, destination="de", state=State.SENT, finished_at=DatabaseNow())
    de, fr = Backlog("default", "de"), Backlog("default", "fr")
    sizes = {name: count.number for name, count in fr.sizes().items()}
    assert sizes == {"due": 3, "waiting": 0, "rejected": 4, "delivered": 0}
    assert (de.known_ids().number, fr.known_ids().number) == (5, 0)
    assert de.longest_due() == pytest.approx(3600, abs=60)
    assert fr.longest_due() < 60
    summary = fr.summary()
    assert (summary.pending.count.number, summary.rejected.count.number) == (3, 4)
    assert summary.rejected.types == {"ADD_TO_CART": 4}
    assert not Backlog("default", "it").make_one_due()
    # What is chosen may be of any, or of some.
    assert len(de.keys(["pending", "rejected"], Selection())) == 9
    assert len(de.keys(["pending", "rejected"], Selection(destinations=("fr",)))) == 7
    assert {each.destination for each in de.kept(de.keys(["rejected"], Selection()))} == {"fr"}


def test_one_is_made_due_for_the_destination_that_is_probed() -> None:
    later = DatabaseNow() + DAY
    record_many(1, destination="de", available_at=later)
    record_many(1, destination="fr", available_at=later)
    assert Backlog("default", "fr").make_one_due()
    assert Outbox("default", "fr").has_due()
    assert not Outbox("default", "de").has_due()


@configured(**KEYS, DESTINATIONS={"de": KEYS, "fr": KEYS})
def test_known_are_those_of_the_settings_and_those_with_events() -> None:
    assert known_destinations("default") == ["default", "de", "fr"]
    record("a", "b", to="de")
    record("a", to="zz-renamed")
    record_many(1, destination="an-old-one", state=State.REJECTED, finished_at=DatabaseNow())
    record_many(1, destination="done", state=State.SENT, finished_at=DatabaseNow())
    with CaptureQueriesContext(connection) as queries:
        found = known_destinations("default")
    assert found == ["default", "de", "fr", "zz-renamed", "an-old-one"]
    assert len(queries) == 5


def test_known_are_found_without_reading_what_is_kept_for_them() -> None:
    record_many(3_000, destination="de")
    record_many(2_000, destination="fr", state=State.REJECTED, finished_at=DatabaseNow())
    update_statistics()
    for plan in plans(lambda: known_destinations("default")):
        assert "moloco_rmp_due" in plan
        assert SORTING[connection.vendor] not in plan


def test_gates_are_apart() -> None:
    def pause(held: object) -> None:
        held.circuit = held.circuit.pausing(held.now)  # type: ignore[attr-defined]

    Gate("default", "de").change(pause)
    states = {name: Gate("default", name).look().circuit.state.value for name in ("de", "fr")}
    assert states == {"de": "paused", "fr": "closed"}
