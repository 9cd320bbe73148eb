"""What the outbox writes: events recorded, and what became of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, OperationalError, connections, transaction
from django.db.models import F
from django.db.models.signals import pre_delete

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.events import Money
from django_moloco_rmp.exceptions import NetworkError, api_error
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox, default_alias
from django_moloco_rmp.wire import dumps
from tests.outbox.clocks import ShiftedClock
from tests.outbox.samples import (
    MINUTE,
    claim_one,
    event,
    ids,
    make_due,
    record,
    record_many,
    seconds_until_due,
    stricter_table,
    without_table,
)

State = OutboxEvent.State
DAY = timedelta(days=1)
#: What pytest-django's fixture is.
Queries = Callable[[int], AbstractContextManager[Any]]


@pytest.fixture
def outbox() -> Outbox:
    return Outbox("default")


@pytest.mark.django_db
def test_an_event_is_a_row_with_its_exact_body(outbox: Outbox) -> None:
    purchase = event("order-1", event_type="PURCHASE", revenue=Money("19.90", "EUR"))
    assert outbox.record(purchase, keeps_id=True) is True

    row = OutboxEvent.objects.annotate(age=DatabaseNow() - F("created_at")).get()
    assert (row.event_id, row.event_type, row.payload) == ("order-1", "PURCHASE", dumps(purchase))
    assert (row.state, row.keeps_id, row.attempts, row.failures) == (State.PENDING, True, 0, 0)
    assert (row.lease_token, row.last_status, row.last_error) == ("", None, "")
    assert row.finished_at is None
    assert row.available_at == row.created_at
    assert timedelta(0) <= row.age < MINUTE


@pytest.mark.django_db
def test_an_event_is_due_at_once(outbox: Outbox) -> None:
    for _ in range(20):
        record_many(1)
        token, claimed = claim_one(outbox)
        assert outbox.delivered(token, [claimed]) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("savepoint", [False, True])
def test_an_event_is_part_of_the_shops_transaction(outbox: Outbox, savepoint: bool) -> None:
    with transaction.atomic():
        record("kept")
        with transaction.atomic() if savepoint else nullcontext():
            record("undone")
            transaction.set_rollback(True)
    remaining = set(OutboxEvent.objects.values_list("event_id", flat=True))
    assert remaining == ({"kept"} if savepoint else set())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("depth", [0, 1, 2], ids=["autocommit", "transaction", "savepoint"])
def test_the_same_id_again_changes_nothing_and_breaks_nothing(outbox: Outbox, depth: int) -> None:
    first = event("order-1")
    outbox.record(first, keeps_id=True)
    with transaction.atomic() if depth > 0 else nullcontext():  # noqa: SIM117
        with transaction.atomic() if depth > 1 else nullcontext():
            Group.objects.create(name="before")
            again = event("order-1", items=(), event_type="HOME")
            assert outbox.record(again, keeps_id=False) is False
            assert outbox.record(event("order-2"), keeps_id=True) is True
            assert outbox.record(event("order-2"), keeps_id=True) is False
            Group.objects.create(name="after")
    assert Group.objects.count() == 2
    rows = OutboxEvent.objects.order_by("id").values_list("event_id", "payload", "keeps_id")
    assert rows[0] == ("order-1", dumps(first), True)
    assert [row[0] for row in rows] == ["order-1", "order-2"]


@pytest.mark.django_db
def test_an_event_costs_one_query(outbox: Outbox, django_assert_num_queries: Queries) -> None:
    with django_assert_num_queries(1):
        outbox.record(event(), keeps_id=False)


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_of_a_transaction_costs_one_query(
    outbox: Outbox, django_assert_num_queries: Queries
) -> None:
    with django_assert_num_queries(1):
        outbox.record(event(), keeps_id=False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order-a", "order-A"),
        ("straße", "strasse"),
        ("café", "cafe"),
        ("café", "cafe\u0301"),
        ("注文-1", "注文-2"),
        ("🛒-1", "🎁-1"),
        ("order-1", "order-1\u200b"),
        ("x" * 128, "x" * 127),
        ("🛒" * 128, "🛒" * 127 + "🎁"),
        ("100%s", "100%"),
    ],
)
def test_ids_are_compared_to_the_letter(outbox: Outbox, one: str, other: str) -> None:
    record(one, other, keeps_id=True)
    claimed = outbox.claim(5, MINUTE)
    assert ids(claimed) == [one, other]
    assert outbox.record(event(one), keeps_id=True) is False
    assert outbox.record(event(other), keeps_id=True) is False


@pytest.mark.django_db(databases=["default", "other"])
def test_each_database_has_an_outbox_of_its_own(outbox: Outbox) -> None:
    record("order-1", using="other")
    assert (outbox.pending(), Outbox("other").pending()) == (0, 1)
    assert outbox.record(event("order-1"), keeps_id=False) is True


def test_events_go_to_the_database_the_router_names(settings: Any) -> None:
    assert default_alias() == "default"
    settings.DATABASE_ROUTERS = ["tests.outbox.test_outbox.EventsElsewhere"]
    assert default_alias() == "other"


class EventsElsewhere:
    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "other" if model is OutboxEvent else None


@pytest.mark.django_db(transaction=True)
def test_a_failed_insert_leaves_the_shops_transaction_usable(outbox: Outbox) -> None:
    with without_table(), transaction.atomic():
        Group.objects.create(name="before")
        with pytest.raises(DatabaseError, match="outboxevent"):
            outbox.record(event(), keeps_id=False)
        Group.objects.create(name="after")
    assert Group.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_failed_insert_outside_of_a_transaction_does_no_harm(outbox: Outbox) -> None:
    with without_table(), pytest.raises(DatabaseError, match="outboxevent"):
        outbox.record(event(), keeps_id=False)
    assert outbox.record(event(), keeps_id=False) is True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("depth", [0, 1], ids=["autocommit", "transaction"])
def test_a_row_that_breaks_a_rule_is_an_error_and_not_taken_for_known(
    outbox: Outbox, depth: int
) -> None:
    with stricter_table(), transaction.atomic() if depth else nullcontext():
        Group.objects.create(name="before")
        with pytest.raises(DatabaseError, match="extra"):
            outbox.record(event("order-1"), keeps_id=True)
        Group.objects.create(name="after")
    assert Group.objects.count() == 2
    assert outbox.record(event("order-1"), keeps_id=True) is True


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    "connections['default'].vendor != 'mysql'", reason="only MySQL undoes all for a deadlock"
)
def test_a_deadlock_that_undid_the_shops_transaction_cannot_be_committed(outbox: Outbox) -> None:
    both_have_one = threading.Barrier(2)
    # Of this test alone: what another has deleted is in the index for a while, and locks the gap.
    first, second = "deadlocked-1", "deadlocked-2"

    def heavier() -> None:
        try:
            with transaction.atomic():
                record(second, keeps_id=True)
                # Of two, the one that has changed less is undone.
                record_many(50)
                both_have_one.wait(10)
                record(first, keeps_id=True)
        finally:
            connections.close_all()

    thread = threading.Thread(target=heavier)
    with transaction.atomic():
        Group.objects.create(name="undone")
        record(first, keeps_id=True)
        thread.start()
        both_have_one.wait(10)
        with pytest.raises(OperationalError, match="Deadlock"):
            outbox.record(event(second), keeps_id=True)
        assert transaction.get_rollback() is True
    thread.join(10)
    assert Group.objects.count() == 0
    assert outbox.pending() == 52


@pytest.mark.django_db
def test_a_delivered_event_is_forgotten(outbox: Outbox) -> None:
    record("cart-1", "cart-2")
    lease = outbox.claim(2, MINUTE)
    assert outbox.delivered(lease.token, lease.events[:1]) == 1
    assert list(OutboxEvent.objects.values_list("event_id", flat=True)) == ["cart-2"]


@pytest.mark.django_db
def test_a_delivered_id_of_the_shop_stays_known_without_its_body(outbox: Outbox) -> None:
    record("order-1", keeps_id=True)
    token, claimed = claim_one(outbox)
    outbox.reschedule(token, claimed, MINUTE, NetworkError("gone"))
    make_due()
    token, claimed = claim_one(outbox)
    assert outbox.delivered(token, [claimed]) == 1

    row = OutboxEvent.objects.get()
    assert (row.event_id, row.state, row.payload) == ("order-1", State.SENT, "")
    assert (row.lease_token, row.last_error) == ("", "")
    assert outbox.record(event("order-1"), keeps_id=True) is False
    make_due()
    assert outbox.claim(5, MINUTE).events == ()
    assert outbox.pending() == 0


@pytest.mark.django_db
def test_a_delivered_id_may_come_again_after_it_was_pruned(outbox: Outbox) -> None:
    record("order-1", keeps_id=True)
    token, claimed = claim_one(outbox)
    outbox.delivered(token, [claimed])

    _finish(29 * DAY)
    assert sum(outbox.prune(dedupe=30 * DAY, rejected=DAY)) == 0
    assert outbox.record(event("order-1"), keeps_id=True) is False
    _finish(31 * DAY)
    assert sum(outbox.prune(dedupe=30 * DAY, rejected=60 * DAY)) == 1
    assert outbox.record(event("order-1"), keeps_id=True) is True


@pytest.mark.django_db
@pytest.mark.parametrize("wait", [0, 5, 80, 900, 86_400])
def test_a_failed_event_waits_by_the_databases_clock(outbox: Outbox, wait: int) -> None:
    record("cart-1")
    token, claimed = claim_one(outbox)
    error = api_error(503, "try later")
    assert outbox.reschedule(token, claimed, timedelta(seconds=wait), error) == 1

    row = OutboxEvent.objects.get()
    assert seconds_until_due(row) == pytest.approx(wait, abs=1)
    assert (row.state, row.failures, row.attempts) == (State.PENDING, 1, 1)
    assert (row.lease_token, row.last_status, row.last_error) == ("", 503, "try later")
    assert row.payload == claimed.payload
    make_due()
    assert claim_one(outbox)[1].failures == 1


@pytest.mark.django_db
def test_an_error_without_an_answer_has_no_status(outbox: Outbox) -> None:
    record("cart-1")
    for error in (api_error(503, "busy"), NetworkError("ConnectTimeout: ...")):
        make_due()
        token, claimed = claim_one(outbox)
        outbox.reschedule(token, claimed, MINUTE, error)
    row = OutboxEvent.objects.get()
    assert (row.failures, row.last_status, row.last_error) == (2, None, "ConnectTimeout: ...")


@pytest.mark.django_db
@pytest.mark.parametrize("character", ["x", "ß", "注", "🛒"])
def test_a_long_message_is_cut(outbox: Outbox, character: str) -> None:
    message = character * 501
    record("cart-1", "cart-2")
    lease = outbox.claim(2, MINUTE)
    outbox.reschedule(lease.token, lease.events[0], MINUTE, NetworkError(message))
    outbox.reject(lease.token, lease.events[1], api_error(400, message))
    kept = OutboxEvent.objects.values_list("last_error", flat=True)
    assert list(kept) == [character * 500] * 2


@pytest.mark.django_db
def test_a_rejected_event_is_kept_to_the_byte_with_the_vendors_message(outbox: Outbox) -> None:
    record("cart-ü")
    token, claimed = claim_one(outbox)
    assert outbox.reject(token, claimed, api_error(422, "items[0].id is unknown")) == 1

    row = OutboxEvent.objects.annotate(age=DatabaseNow() - F("finished_at")).get()
    assert (row.state, row.event_id, row.payload) == (State.REJECTED, "cart-ü", claimed.payload)
    assert (row.last_status, row.last_error) == (422, "items[0].id is unknown")
    assert (row.lease_token, row.failures, row.attempts) == ("", 0, 1)
    assert timedelta(0) <= row.age < MINUTE
    assert outbox.pending() == 0
    assert outbox.record(event("cart-ü"), keeps_id=False) is False


@pytest.mark.django_db
@pytest.mark.parametrize("status", [403, 302, None])
def test_an_event_refused_by_no_fault_of_its_own_is_due_at_once(
    outbox: Outbox, status: int | None
) -> None:
    record("cart-1")
    token, claimed = claim_one(outbox)
    message = "🛒" * 501
    error = NetworkError(message, True) if status is None else api_error(status, message)
    assert outbox.keep(token, claimed, error) == 1
    row = OutboxEvent.objects.get()
    assert (row.state, row.failures, row.server_errors) == (State.PENDING, 0, 0)
    assert (row.lease_token, row.last_status, row.last_error) == ("", status, "🛒" * 500)
    assert claim_one(outbox)[1] == claimed
    # Another has it now.
    assert outbox.keep(token, claimed, error) == 0


@pytest.mark.django_db
def test_server_errors_are_counted_where_the_event_may_be_to_blame(outbox: Outbox) -> None:
    record("cart-1")
    for number, is_to_blame in enumerate([True, False, True]):
        token, claimed = claim_one(outbox)
        assert (claimed.failures, claimed.server_errors) == (number, (0, 1, 1)[number])
        error = api_error(500, "oops")
        outbox.reschedule(token, claimed, timedelta(0), error, is_server_error=is_to_blame)
        make_due()
    row = OutboxEvent.objects.get()
    assert (row.failures, row.server_errors) == (3, 2)


@pytest.mark.django_db
def test_an_event_handed_back_may_have_to_wait(outbox: Outbox) -> None:
    record("cart-1")
    lease = outbox.claim(1, MINUTE)
    assert outbox.release(lease.token, lease.events, timedelta(seconds=30)) == 1
    row = OutboxEvent.objects.get()
    assert seconds_until_due(row) == pytest.approx(30, abs=1)
    assert (row.attempts, row.failures, row.lease_token) == (0, 0, "")


@pytest.mark.django_db
def test_it_is_known_whether_something_is_due(outbox: Outbox) -> None:
    assert outbox.has_due() is False
    record_many(1, state=State.REJECTED)
    record_many(1, available_at=DatabaseNow() + MINUTE)
    assert outbox.has_due() is False
    record("cart-1")
    assert outbox.has_due() is True
    outbox.claim(1, MINUTE)
    assert outbox.has_due() is False
    clock = ShiftedClock()
    later = Outbox("default", clock=clock)
    clock.advance(59)
    assert later.has_due() is False
    clock.advance(1)
    assert later.has_due() is True


@pytest.mark.django_db
def test_an_event_handed_back_is_due_at_once_as_if_never_taken(outbox: Outbox) -> None:
    record("cart-1", "cart-2")
    lease = outbox.claim(2, MINUTE)
    assert outbox.release(lease.token, lease.events) == 2
    assert set(OutboxEvent.objects.values_list("attempts", "failures", "lease_token")) == {
        (0, 0, "")
    }
    assert ids(outbox.claim(5, MINUTE)) == ["cart-1", "cart-2"]


@pytest.mark.django_db
def test_nothing_to_write_back_is_no_query(
    outbox: Outbox, django_assert_num_queries: Queries
) -> None:
    with django_assert_num_queries(0):
        assert outbox.delivered("token", []) == 0
        assert outbox.release("token", []) == 0


@pytest.mark.django_db
def test_what_became_of_a_batch_is_written_in_one_query_each(
    outbox: Outbox, django_assert_num_queries: Queries
) -> None:
    record_many(10)
    record_many(10, keeps_id=True)
    lease = outbox.claim(20, MINUTE)
    with django_assert_num_queries(2):
        assert outbox.delivered(lease.token, lease.events[:4] + lease.events[-4:]) == 8
    with django_assert_num_queries(1):
        outbox.reschedule(lease.token, lease.events[4], MINUTE, NetworkError(""))
    with django_assert_num_queries(1):
        outbox.reject(lease.token, lease.events[5], api_error(400, ""))
    with django_assert_num_queries(1):
        assert outbox.release(lease.token, lease.events[6:16]) == 10


@pytest.mark.django_db
def test_pruning_takes_old_finished_events_and_no_others(outbox: Outbox) -> None:
    record_many(1)
    record_many(1, failures=7, lease_token="other relay's")
    for state in (State.SENT, State.REJECTED):
        record_many(2, state=state)
    OutboxEvent.objects.update(
        created_at=DatabaseNow() - 90 * DAY, available_at=DatabaseNow() - 90 * DAY
    )
    for state, days in ((State.SENT, 8), (State.REJECTED, 4)):
        first, second = OutboxEvent.objects.filter(state=state)
        OutboxEvent.objects.filter(pk=first.pk).update(finished_at=DatabaseNow() - days * DAY)
        OutboxEvent.objects.filter(pk=second.pk).update(
            finished_at=DatabaseNow() - days * DAY + MINUTE
        )

    assert sum(outbox.prune(dedupe=8 * DAY, rejected=4 * DAY)) == 2
    left = OutboxEvent.objects.order_by("state").values_list("state", flat=True)
    assert list(left) == [State.PENDING, State.PENDING, State.SENT, State.REJECTED]


@pytest.mark.django_db
@pytest.mark.parametrize(("count", "batches"), [(1_000, 1), (1_001, 2)])
def test_pruning_goes_by_batches_of_a_thousand(
    outbox: Outbox, django_assert_num_queries: Queries, count: int, batches: int
) -> None:
    record_many(1)
    _finished_rows(count)
    # Each batch is a look and a deletion; then comes a last look for either state.
    with django_assert_num_queries(2 * batches + 2):
        assert sum(outbox.prune(dedupe=DAY, rejected=DAY)) == count
    assert outbox.pending() == 1


@pytest.mark.django_db
def test_deleting_is_no_business_of_the_shops_receivers(outbox: Outbox) -> None:
    seen: list[object] = []

    def listener(instance: object, **_: object) -> None:
        seen.append(instance)

    record_many(2)
    _finished_rows(1)
    pre_delete.connect(listener)
    try:
        lease = outbox.claim(2, MINUTE)
        assert outbox.delivered(lease.token, lease.events) == 2
        assert sum(outbox.prune(dedupe=DAY, rejected=DAY)) == 1
    finally:
        pre_delete.disconnect(listener)
    assert seen == []


def _finish(age: timedelta) -> None:
    OutboxEvent.objects.update(finished_at=DatabaseNow() - age)


def _finished_rows(count: int) -> None:
    row = {"event_type": "HOME", "payload": "", "state": State.SENT}
    OutboxEvent.objects.bulk_create(
        OutboxEvent(event_id=f"old-{number}", finished_at=None, **row) for number in range(count)
    )
    OutboxEvent.objects.filter(state=State.SENT).update(finished_at=DatabaseNow() - 2 * DAY)
