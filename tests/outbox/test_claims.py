"""Leases: who gets which event, and what an ended lease can still do."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.exceptions import NetworkError, api_error
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Lease, Outbox
from tests.outbox.samples import (
    MINUTE,
    claim_one,
    event,
    ids,
    make_due,
    record,
    record_many,
    seconds_until_due,
)
from tests.outbox.workers import Workers

State = OutboxEvent.State
#: What pytest-django's fixture is.
Queries = Callable[[int], AbstractContextManager[Any]]
TIMEOUT = api_error(503, "busy")


@pytest.fixture
def outbox() -> Outbox:
    return Outbox("default")


@pytest.mark.django_db
def test_a_claim_has_all_that_sending_takes(outbox: Outbox) -> None:
    first, second = event("order-1"), event(event_type="HOME")
    outbox.record(first, keeps_id=True)
    outbox.record(second, keeps_id=False)
    OutboxEvent.objects.filter(event_id=second.id).update(failures=3)
    one, other = outbox.claim(5, MINUTE).events
    assert (one.event_id, one.event_type, one.keeps_id, one.failures) == (
        "order-1",
        "ADD_TO_CART",
        True,
        0,
    )
    assert (other.event_id, other.event_type, other.keeps_id, other.failures) == (
        second.id,
        "HOME",
        False,
        3,
    )
    payloads = OutboxEvent.objects.order_by("id").values_list("payload", flat=True)
    assert [one.payload, other.payload] == list(payloads)


@pytest.mark.django_db
def test_payloads_stay_out_of_reprs_and_so_out_of_logs(outbox: Outbox) -> None:
    record("order-1")
    assert "custom_id" not in repr(outbox.claim(1, MINUTE))


@pytest.mark.django_db
def test_the_longest_due_come_first_and_no_more_than_asked_for(outbox: Outbox) -> None:
    late, early, same_a, same_b = record_many(4)
    due = DatabaseNow() - timedelta(hours=1)
    for event_id, minutes in ((late, 30), (early, 0), (same_a, 10), (same_b, 10)):
        row = OutboxEvent.objects.filter(event_id=event_id)
        row.update(available_at=due + timedelta(minutes=minutes))
    assert ids(outbox.claim(1, MINUTE)) == [early]
    assert ids(outbox.claim(2, MINUTE)) == [same_a, same_b]
    assert ids(outbox.claim(2, MINUTE)) == [late]
    assert ids(outbox.claim(2, MINUTE)) == []


@pytest.mark.django_db
def test_only_what_is_due_and_pending_is_claimed(outbox: Outbox) -> None:
    future, sent, rejected, due = record_many(4)
    rows = OutboxEvent.objects
    rows.filter(event_id=future).update(available_at=DatabaseNow() + timedelta(seconds=5))
    rows.filter(event_id=sent).update(state=State.SENT)
    rows.filter(event_id=rejected).update(state=State.REJECTED)
    assert ids(outbox.claim(5, MINUTE)) == [due]


@pytest.mark.django_db
def test_nobody_else_gets_an_event_until_its_lease_ends(outbox: Outbox) -> None:
    record("cart-1")
    first = outbox.claim(5, timedelta(seconds=90))
    row = OutboxEvent.objects.get()
    assert (row.lease_token, row.attempts) == (first.token, 1)
    assert seconds_until_due(row) == pytest.approx(90, abs=1)
    assert outbox.claim(5, MINUTE).events == ()
    assert outbox.pending() == 1

    make_due()
    second = outbox.claim(5, MINUTE)
    assert ids(second) == ["cart-1"]
    row.refresh_from_db()
    assert (row.lease_token, row.attempts) == (second.token, 2)
    assert first.token != second.token


@pytest.mark.django_db
def test_a_look_at_an_empty_outbox_is_one_query(
    outbox: Outbox, django_assert_num_queries: Queries
) -> None:
    record_many(3, state=State.REJECTED)
    with django_assert_num_queries(1):
        assert outbox.claim(50, MINUTE).events == ()


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 50])
def test_a_claim_is_three_queries(
    outbox: Outbox, django_assert_num_queries: Queries, count: int
) -> None:
    record_many(60)
    with django_assert_num_queries(3):
        assert len(outbox.claim(count, MINUTE).events) == count


@pytest.mark.django_db
@pytest.mark.parametrize("successor", ["is sending", "has rescheduled", "has rejected", "is done"])
def test_an_ended_lease_changes_nothing_any_more(outbox: Outbox, successor: str) -> None:
    record("cart-1")
    record("order-1", keeps_id=True)
    old = outbox.claim(2, MINUTE)
    make_due()
    new = outbox.claim(2, MINUTE)
    for each in new.events:
        if successor == "has rescheduled":
            assert outbox.reschedule(new.token, each, MINUTE, TIMEOUT) == 1
        elif successor == "has rejected":
            assert outbox.reject(new.token, each, api_error(400, "no")) == 1
    if successor == "is done":
        assert outbox.delivered(new.token, new.events) == 2

    before = list(OutboxEvent.objects.order_by("id").values())
    assert outbox.delivered(old.token, old.events) == 0
    assert outbox.release(old.token, old.events) == 0
    for each in old.events:
        assert outbox.reschedule(old.token, each, MINUTE, NetworkError("late")) == 0
        assert outbox.reject(old.token, each, api_error(422, "late")) == 0
    assert list(OutboxEvent.objects.order_by("id").values()) == before
    if successor == "is sending":
        assert outbox.delivered(new.token, new.events) == 2


@pytest.mark.django_db
def test_what_was_written_back_once_is_not_written_back_again(outbox: Outbox) -> None:
    record("cart-1", "cart-2", "cart-3")
    lease = outbox.claim(3, MINUTE)
    one, two, three = lease.events
    outbox.reschedule(lease.token, one, MINUTE, TIMEOUT)
    outbox.reject(lease.token, two, api_error(400, "no"))
    outbox.release(lease.token, [three])
    assert outbox.delivered(lease.token, lease.events) == 0
    assert OutboxEvent.objects.count() == 3


@pytest.mark.django_db
def test_a_lease_of_other_events_does_not_reach_further(outbox: Outbox) -> None:
    record("cart-1", "cart-2")
    _, first = claim_first(outbox)
    token, second = claim_first(outbox)
    assert outbox.delivered(token, [first, second]) == 1
    assert list(OutboxEvent.objects.values_list("event_id", flat=True)) == ["cart-1"]


def claim_first(outbox: Outbox) -> tuple[str, Any]:
    lease = outbox.claim(1, MINUTE)
    return lease.token, lease.events[0]


@contextmanager
def between_look_and(verb: str, action: Callable[[], object]) -> Iterator[None]:
    """Have something happen just before the first statement of a kind."""
    pending = [action]

    def intervene(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if pending and sql.startswith(verb):
            pending.pop()()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(intervene):
        yield


def test_a_claim_that_comes_too_late_takes_the_next(outbox: Outbox, second: str) -> None:
    record("cart-1", "cart-2", "cart-3", "cart-4")
    others: list[Lease] = []
    with between_look_and("UPDATE", lambda: others.append(Outbox(second).claim(2, MINUTE))):
        mine = outbox.claim(2, MINUTE)
    assert ids(others[0]) == ["cart-1", "cart-2"]
    assert ids(mine) == ["cart-3", "cart-4"]


def test_a_claim_that_comes_too_late_for_some_takes_the_rest(outbox: Outbox, second: str) -> None:
    record("cart-1", "cart-2", "cart-3", "cart-4")
    others: list[Lease] = []
    with between_look_and("UPDATE", lambda: others.append(Outbox(second).claim(2, MINUTE))):
        mine = outbox.claim(3, MINUTE)
    assert (ids(others[0]), ids(mine)) == (["cart-1", "cart-2"], ["cart-3"])


def test_a_claim_that_comes_too_late_for_all_gets_nothing(outbox: Outbox, second: str) -> None:
    record("cart-1")
    with between_look_and("UPDATE", lambda: Outbox(second).claim(1, MINUTE)):
        assert outbox.claim(1, MINUTE).events == ()


@pytest.mark.parametrize("outcome", ["rescheduled", "rejected", "delivered", "kept"])
def test_a_claim_does_not_take_back_what_another_has_settled(
    outbox: Outbox, second: str, outcome: str
) -> None:
    record("cart-1", keeps_id=outcome == "kept")

    def settle() -> None:
        other = Outbox(second)
        token, claimed = claim_one(other)
        if outcome == "rescheduled":
            other.reschedule(token, claimed, MINUTE, TIMEOUT)
        elif outcome == "rejected":
            other.reject(token, claimed, api_error(400, "no"))
        else:
            other.delivered(token, [claimed])
        # As long after the claim as it takes: the end of its lease has passed, too.
        finished = OutboxEvent.objects.using(second).exclude(state=State.PENDING)
        finished.update(available_at=DatabaseNow())

    with between_look_and("UPDATE", settle):
        assert outbox.claim(1, MINUTE).events == ()


def test_pruning_spares_what_was_made_pending_in_the_meantime(outbox: Outbox, second: str) -> None:
    record_many(2, state=State.REJECTED, finished_at=DatabaseNow() - MINUTE)
    first = OutboxEvent.objects.using(second).order_by("id")[:1].get()

    def send_again() -> None:
        OutboxEvent.objects.using(second).filter(pk=first.pk).update(state=State.PENDING)

    with between_look_and("DELETE", send_again):
        assert sum(outbox.prune(dedupe=timedelta(0), rejected=timedelta(0))) == 1
    assert OutboxEvent.objects.get().pk == first.pk


@contextmanager
def impatient() -> Iterator[None]:
    """Have this connection fail, instead of waiting long, when a row is locked."""
    setting = {
        "mysql": "SET SESSION innodb_lock_wait_timeout = {}",
        "postgresql": "SET lock_timeout = '{}s'",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(setting.format(1))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(setting.format(50 if connection.vendor == "mysql" else 0))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("keeps_id", [False, True])
def test_a_connection_that_is_made_by_writing_back_is_as_good(
    outbox: Outbox, keeps_id: bool
) -> None:
    record("order-1", keeps_id=keeps_id)
    token, claimed = claim_one(outbox)
    connection.close()
    assert outbox.delivered(token, [claimed]) == 1


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
@pytest.mark.parametrize("count", [1, 2, 10, 60])
@pytest.mark.parametrize("keeps_id", [False, True])
def test_open_transactions_of_the_shop_hold_up_no_relay(
    outbox: Outbox, second: str, count: int, keeps_id: bool
) -> None:
    record_many(count, keeps_id=keeps_id)
    with impatient(), transaction.atomic(using=second):
        Outbox(second).record(event(), keeps_id=True)
        for write_back in (
            outbox.release,
            outbox.delivered,
        ):
            lease = outbox.claim(100, MINUTE)
            assert write_back(lease.token, lease.events) == len(lease.events) == count
    assert outbox.pending() == 1


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
@pytest.mark.parametrize("count", [1, 2, 10, 60])
@pytest.mark.parametrize("keeps_id", [False, True])
def test_open_transactions_of_relays_hold_up_no_shop(
    second: str, count: int, keeps_id: bool
) -> None:
    record_many(count, keeps_id=keeps_id)
    relay = Outbox(second)

    def claim_and_settle(held: Held) -> None:
        lease = relay.claim(100, MINUTE)
        record(*(f"claimed-{number}" for number in range(20)))
        half = count // 2
        assert relay.delivered(lease.token, lease.events[half:]) == count - half
        assert relay.release(lease.token, lease.events[:half]) == half
        with transaction.atomic():
            record(*(f"settled-{number}" for number in range(20)), keeps_id=True)

    with impatient():
        Gate(second).change(claim_and_settle)
    assert Outbox("default").pending() == count // 2 + 40


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
@pytest.mark.parametrize("count", [1, 2, 10, 60])
def test_open_transactions_of_the_shop_hold_up_no_pruning(
    outbox: Outbox, second: str, count: int
) -> None:
    record_many(count, state=State.SENT, finished_at=DatabaseNow() - MINUTE)
    with impatient(), transaction.atomic(using=second):
        Outbox(second).record(event(), keeps_id=True)
        assert sum(outbox.prune(dedupe=timedelta(0), rejected=timedelta(0))) == count


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", [1, 7])
def test_several_claimers_share_the_events_without_overlap(limit: int) -> None:
    recorded = record_many(120)
    taken: Counter[str] = Counter()
    start = threading.Barrier(4)

    def claim_all() -> None:
        start.wait(10)
        mine: list[str] = []
        while lease := Outbox("default").claim(limit, 10 * MINUTE).events:
            mine += [each.event_id for each in lease]
        taken.update(mine)

    workers = Workers()
    for _ in range(4):
        workers.start(claim_all)
    workers.join()
    assert taken == Counter(recorded)
    assert set(OutboxEvent.objects.values_list("attempts", flat=True)) == {1}


@pytest.mark.django_db(transaction=True)
def test_shops_and_relays_at_work_together_neither_fail_nor_lose_anything() -> None:
    shops, relays, rounds = 2, 3, 30
    committed: Counter[str] = Counter()
    delivered: Counter[str] = Counter()
    closed = [threading.Event() for _ in range(shops)]
    start = threading.Barrier(shops + relays)

    def sell(shop: int) -> None:
        start.wait(10)
        mine: list[str] = []
        for number in range(rounds):
            names = [event().id for _ in range(3)]
            with transaction.atomic():
                for name in names:
                    record(name, keeps_id=number % 2 == 0)
                if number % 5 == 0:
                    transaction.set_rollback(True)
                    continue
            mine += names
        committed.update(mine)
        closed[shop].set()

    def relay(number: int) -> None:
        outbox = Outbox("default")
        start.wait(10)
        mine: list[str] = []
        while True:
            finished = all(shop.is_set() for shop in closed)
            lease = outbox.claim(5, 10 * MINUTE)
            if number == 0 and lease.events:
                outbox.release(lease.token, lease.events[2:])
                lease = Lease(lease.token, lease.events[:2])
            assert outbox.delivered(lease.token, lease.events) == len(lease.events)
            mine += ids(lease)
            if finished and not lease.events:
                break
        delivered.update(mine)

    workers = Workers()
    for number in range(shops):
        workers.start(lambda number=number: sell(number))
    for number in range(relays):
        workers.start(lambda number=number: relay(number))
    workers.join()
    assert delivered == committed
    assert Outbox("default").pending() == 0
