"""What was counted stays counted, when the hours that it was counted in are forgotten."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from django_moloco_rmp.counts import BEFORE, DELIVERED, HOUR, KEPT, Counts, Tallies
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import HourlyCount
from django_moloco_rmp.outbox import Claimed
from django_moloco_rmp.sandbox import SandboxServer
from tests.metrics.samples import now
from tests.outbox.relays import PATIENCE, relay_to
from tests.outbox.samples import record

OLD = (KEPT + 1) * HOUR


def claimed(event_id: str, event_type: str = "PURCHASE") -> Claimed:
    return Claimed(1, event_id, event_type, "default", '{"user_id": "u"}', "", False, 0, 0)


def count(ago: int, *event_ids: str, event_type: str = "PURCHASE") -> None:
    """Count delivered events, so many microseconds ago."""
    tallies = Tallies()
    for event_id in event_ids:
        tallies.add(claimed(event_id, event_type), DELIVERED)
    Counts("default").write(now() - ago, tallies)


def prune() -> int:
    return Gate("default").change(lambda held: Counts("default").prune(held.now))


@pytest.mark.django_db
def test_totals_do_not_fall_when_hours_are_pruned() -> None:
    count(OLD + HOUR, "a", "b")
    count(OLD, "c")
    count(OLD, "d", event_type="HOME")
    count(0, "e")
    totals = Counts("default").totals()
    assert totals == {("PURCHASE", DELIVERED): 4, ("HOME", DELIVERED): 1}
    assert prune() == 3
    assert Counts("default").totals() == totals
    assert HourlyCount.objects.filter(hour__gt=BEFORE).count() == 1
    assert prune() == 0
    assert Counts("default").totals() == totals


@pytest.mark.django_db
def test_pruned_hours_are_added_to_those_before() -> None:
    for event_ids in ["a", "b"], ["c"]:
        count(OLD, *event_ids)
        prune()
    row = HourlyCount.objects.get()
    assert (row.hour, row.count, row.with_user_id, row.with_page_id) == (BEFORE, 3, 3, 0)
    assert row.last_event_id == "c"
    assert row.last_at // HOUR == (now() - OLD) // HOUR


@pytest.mark.django_db
def test_what_is_not_old_enough_stays_as_it_is() -> None:
    count((KEPT - 1) * HOUR, "a")
    assert not Counts("default").has_old(now())
    assert prune() == 0
    assert HourlyCount.objects.get().hour > BEFORE


@pytest.mark.django_db(transaction=True)
def test_two_relays_that_prune_at_once_add_nothing_twice() -> None:
    for number in range(20):
        count(OLD + number * HOUR, "a", "b")
    start = threading.Barrier(2)
    pruned: list[int] = []

    def work() -> None:
        try:
            start.wait(PATIENCE)
            pruned.append(prune())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(pruned) == [0, 20]
    assert Counts("default").totals() == {("PURCHASE", DELIVERED): 40}


@pytest.mark.django_db(transaction=True)
def test_an_idle_relay_prunes(sandbox: SandboxServer) -> None:
    count(OLD, "a")
    record("cart-1")
    with relay_to(sandbox.url) as relay:
        relay.run(until_empty=True)
    hours = dict(HourlyCount.objects.values_list("event_type", "hour"))
    assert hours["PURCHASE"] == BEFORE
    assert hours["ADD_TO_CART"] > BEFORE
