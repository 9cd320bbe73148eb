"""Events that wait in memory: what they cost a request, and what transactions do to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection

from django_moloco_rmp.models import OutboxEvent
from tests.processes.children import PATIENCE, started

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.slow,
]


def shop(*scenes: str, **moloco_rmp: Any) -> tuple[list[Any], str]:
    """Have a shop's process play some scenes; return what came of each, and its log."""
    with started(
        "-m", "tests.integration.buffering_shop", *scenes, RELAY="command", **moloco_rmp
    ) as process:
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    return json.loads(output), errors


def written() -> set[str]:
    return set(OutboxEvent.objects.values_list("event_id", flat=True))


def test_a_page_view_costs_the_request_nothing_and_what_is_worth_money_is_written() -> None:
    (views, by_hand, unconnected), errors = shop("views", "by_hand", "unconnected")
    browsing = ("HOME", "LAND", "PAGE_VIEW", "SEARCH", "ITEM_PAGE_VIEW", "in a transaction")
    assert {name: views[name] for name in browsing} == {name: [] for name in browsing}
    assert views["ADD_TO_CART"] == ["INSERT"]
    # The shop wants to know whether its id is known, and not a moment later.
    assert views["own id"] == ["INSERT"]
    # Django tells nobody when such a shop commits. (A savepoint goes together with the row.)
    assert by_hand == ["SAVEPOINT" if connection.vendor == "postgresql" else "INSERT"]
    assert unconnected is True
    assert errors == ""
    # All are there once the process has ended.
    types = OutboxEvent.objects.values_list("event_type", flat=True)
    twice = ["HOME", "PAGE_VIEW", "PAGE_VIEW"]
    assert sorted(types) == sorted(
        ["HOME", "LAND", "PAGE_VIEW", "SEARCH", "ITEM_PAGE_VIEW", "ADD_TO_CART", *twice]
    )


@pytest.mark.parametrize("buffered", [None, []], ids=["buffered", "transactional"])
def test_what_is_rolled_back_is_not_reported_and_its_siblings_are(
    buffered: list[str] | None,
) -> None:
    options = {} if buffered is None else {"BUFFERED": buffered}
    (ids, views), errors = shop("transactions", "views", **options)
    kept = {ids[name] for name in ("before", "savepoint", "by hand", "by itself")}
    undone = set(ids.values()) - kept
    assert kept <= written()
    assert undone.isdisjoint(written())
    assert errors == ""
    insert = [] if buffered is None else ["INSERT"]
    assert views["HOME"] == insert
    if connection.vendor == "postgresql" and insert:
        insert = ["SAVEPOINT"]  # and with it the row
    assert views["in a transaction"] == insert


def test_in_an_event_loop_events_are_buffered_with_one_warning() -> None:
    (ids,), errors = shop("event_loop", RAISE_ERRORS=False)
    assert None not in ids
    assert ids[2] == ids[5] == "order-1"
    assert written() == set(ids)
    assert len(written()) == 5
    warning = "track() was called inside a running event loop"
    assert errors.count(warning) == 1
    assert "await atrack(...)" in errors
    # With the line of the shop's that did it.
    assert "buffering_shop.py" in errors
    kept = OutboxEvent.objects.values_list("event_id", "keeps_id")
    assert {event_id for event_id, keeps_id in kept if keeps_id} == {"order-1"}


def test_in_an_event_loop_a_customer_whose_account_has_to_be_looked_up_is_a_visitor() -> None:
    (page,), errors = shop("event_loop_of_a_customer", RAISE_ERRORS=False)
    assert page == "served"
    assert "without the user's id if that has to be looked up" in errors
    body = json.loads(OutboxEvent.objects.get().payload)
    assert body["device"]["persistent_id"]
    assert "user_id" not in body


def test_in_an_event_loop_it_is_an_error_while_developing() -> None:
    (error,), _ = shop("event_loop_raises", RAISE_ERRORS=True)
    assert error.startswith("SynchronousOnlyOperation: ")
    assert "await atrack(...)" in error
    assert written() == set()
