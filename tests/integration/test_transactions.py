"""Events and the shop's own transactions: together or not at all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp import Item, Money, track
from django_moloco_rmp.models import OutboxEvent
from tests.integration.visits import configured, drop_reasons, get
from tests.outbox.samples import without_table

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.integration.tracking_urls"),
]

ADA = {"user_id": "a" * 64, "channel_type": "SITE", "page_id": "CHECKOUT"}
LAMP = Item("lamp", price=Money("19.90", "EUR"), quantity=1)
BOTH = ["ADD_TO_CART", "HOME"]


def emit(event_type: str = "ADD_TO_CART", **keywords: Any) -> str | None:
    return track(event_type, LAMP, shopper=ADA, **keywords)


def written() -> set[str]:
    return set(OutboxEvent.objects.values_list("event_id", flat=True))


@pytest.mark.parametrize("event_type", BOTH)
def test_what_is_rolled_back_is_not_reported_and_its_siblings_are(event_type: str) -> None:
    before = emit(event_type)
    with transaction.atomic():
        emit(event_type)
        transaction.set_rollback(True)
    with transaction.atomic():
        first = emit(event_type)
        with transaction.atomic():
            emit(event_type)
            transaction.set_rollback(True)
        last = emit(event_type)
    assert written() == {before, first, last}


@pytest.mark.parametrize("event_type", BOTH)
def test_an_error_of_the_shops_takes_the_events_with_it(event_type: str) -> None:
    Group.objects.create(name="taken")

    @transaction.atomic
    def check_out() -> None:
        emit(event_type)
        Group.objects.create(name="taken")

    with pytest.raises(IntegrityError):
        check_out()
    assert written() == set()


def test_a_request_that_fails_under_atomic_requests_reports_nothing() -> None:
    client = Client(raise_request_exception=False)
    connections["default"].settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert client.get("/order-that-fails/").status_code == 500
        assert written() == set()
        get(client, "/order/")
    finally:
        connections["default"].settings_dict["ATOMIC_REQUESTS"] = False
    assert written() == {"order-1"}


def statements(event_type: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        emit(event_type)
    return [query["sql"].split()[0] for query in queries]


def test_an_event_is_one_insert() -> None:
    assert statements("ADD_TO_CART") == ["INSERT"]
    with transaction.atomic():
        # PostgreSQL gives up a whole transaction for one statement that fails.
        within = ["SAVEPOINT", "INSERT", "RELEASE"]
        expected = within if connection.vendor == "postgresql" else ["INSERT"]
        assert statements("ADD_TO_CART") == expected


@pytest.fixture
def broken_outbox() -> Iterator[None]:
    with without_table():
        yield


@pytest.mark.usefixtures("broken_outbox")
@pytest.mark.parametrize("is_atomic", [True, False])
def test_an_outbox_that_is_out_of_order_does_not_take_the_order_with_it(
    is_atomic: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with configured(RAISE_ERRORS=False), drop_reasons() as reasons:
        if is_atomic:
            with transaction.atomic():
                Group.objects.create(name="before")
                assert emit() is None
                Group.objects.create(name="after")
        else:
            Group.objects.create(name="before")
            assert emit() is None
            Group.objects.create(name="after")
    assert reasons == ["database"]
    assert set(Group.objects.values_list("name", flat=True)) == {"before", "after"}
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


@pytest.mark.usefixtures("broken_outbox")
def test_while_developing_it_is_an_error() -> None:
    with pytest.raises(DatabaseError):
        emit()


def test_ids_that_differ_in_case_are_different_orders() -> None:
    assert emit(event_id="order-a")
    assert emit(event_id="order-A")
    assert written() == {"order-a", "order-A"}


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
@pytest.mark.parametrize("is_kept", [True, False])
def test_of_two_orders_at_once_with_one_id_one_is_reported(is_kept: bool) -> None:
    results: list[str | None] = []

    def emit_meanwhile() -> None:
        try:
            results.append(emit(event_id="order-1"))
        finally:
            connections.close_all()

    other = threading.Thread(target=emit_meanwhile)
    with transaction.atomic():
        assert emit(event_id="order-1")
        other.start()
        # It waits for this transaction, if it has got so far.
        other.join(0.2)
        transaction.set_rollback(not is_kept)
    other.join(30)
    assert results == [None if is_kept else "order-1"]
    assert written() == {"order-1"}
