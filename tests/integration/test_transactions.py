"""Events and the shop's own transactions: together or not at all."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Group
from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    connection,
    connections,
    transaction,
)
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp import Item, Money, track
from django_moloco_rmp.models import OutboxEvent
from tests.integration.drops import dropped
from tests.integration.visits import configured, get
from tests.outbox.samples import stricter_table, without_table

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


@transaction.atomic
def check_out(event_type: str = "PURCHASE") -> None:
    emit(event_type)
    Group.objects.create(name="taken")


@pytest.mark.parametrize("event_type", BOTH)
def test_an_error_of_the_shops_takes_the_events_with_it(event_type: str) -> None:
    Group.objects.create(name="taken")
    with pytest.raises(IntegrityError):
        check_out(event_type)
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


def test_an_error_that_the_shop_catches_leaves_the_event_after_it() -> None:
    Group.objects.create(name="taken")
    with transaction.atomic():
        before = emit()
        with pytest.raises(IntegrityError):
            check_out()
        after = emit()
    assert written() == {before, after}


@contextmanager
def nested(depth: int) -> Iterator[None]:
    """Open as many transactions inside of each other."""
    with ExitStack() as stack:
        for _ in range(depth):
            stack.enter_context(transaction.atomic())
        yield


def statements(**keywords: Any) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        emit(**keywords)
    return [query["sql"].split()[0] for query in queries]


@pytest.mark.parametrize("depth", [0, 1, 2], ids=["autocommit", "transaction", "savepoint"])
def test_an_event_is_one_insert_and_never_a_look_before(depth: int) -> None:
    expected = ["INSERT"]
    if depth and connection.vendor == "postgresql":
        # It gives up a whole transaction for one statement that fails. All three at once.
        expected = ["SAVEPOINT"]
    with nested(depth):
        assert statements() == expected
        assert statements(event_type="HOME") == expected
        assert statements(event_id="order-1") == expected
        # Known already.
        assert statements(event_id="order-1") == expected
        with configured(RAISE_ERRORS=False):
            assert statements(timestamp=1) == []
        with configured(ENABLED=False):
            assert statements() == []


@contextmanager
def by_hand() -> Iterator[None]:
    """Let the shop begin and commit transactions by itself, without atomic()."""
    transaction.set_autocommit(False)
    try:
        yield
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def test_a_shop_that_commits_by_hand_is_understood() -> None:
    with by_hand():
        emit()
        transaction.rollback()
        with dropped() as drops:
            kept = emit()
        transaction.commit()
        emit()
    assert written() == {kept}
    assert drops.told == []


@pytest.mark.parametrize("relay", ["thread", "command", "off"])
def test_an_event_is_left_to_whoever_runs_the_relay(
    relay: str, caplog: pytest.LogCaptureFixture
) -> None:
    with configured(RELAY=relay):
        with transaction.atomic():
            first = emit()
        second = emit()
    assert written() == {first, second}
    # Django logs what fails after a commit.
    assert caplog.records == []


TRANSACTIONS = pytest.mark.parametrize(
    "transaction_", [nullcontext, transaction.atomic, lambda: nested(2), by_hand]
)


def assert_only_the_event_is_lost(transaction_: Any) -> None:
    with configured(RAISE_ERRORS=False), dropped() as drops, transaction_():
        Group.objects.create(name="before")
        assert emit() is None
        Group.objects.create(name="after")
        if not connection.in_atomic_block and not transaction.get_autocommit():
            transaction.commit()
    assert set(Group.objects.values_list("name", flat=True)) == {"before", "after"}
    assert [told[:2] for told in drops.told] == [("ADD_TO_CART", "database")]
    (record,) = drops.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert [secret for secret in (*ADA.values(), "test-key") if secret in drops.text] == []


@pytest.fixture
def broken_outbox() -> Iterator[None]:
    with without_table():
        yield


@pytest.mark.usefixtures("broken_outbox")
@TRANSACTIONS
def test_an_outbox_that_is_out_of_order_does_not_take_the_order_with_it(transaction_: Any) -> None:
    assert_only_the_event_is_lost(transaction_)


@pytest.fixture
def refusing_outbox() -> Iterator[None]:
    with stricter_table():
        yield


@pytest.mark.usefixtures("refusing_outbox")
@TRANSACTIONS
def test_an_outbox_that_refuses_a_row_does_not_take_the_order_with_it(transaction_: Any) -> None:
    assert_only_the_event_is_lost(transaction_)


@TRANSACTIONS
def test_a_driver_that_fails_does_not_take_the_order_with_it(transaction_: Any) -> None:
    def fail(execute: Any, sql: str, *arguments: Any) -> Any:
        if "outboxevent" in sql:
            raise InterfaceError("the connection is in a bad state")
        return execute(sql, *arguments)

    with connection.execute_wrapper(fail):
        assert_only_the_event_is_lost(transaction_)


@pytest.fixture
def bound_by_server() -> Iterator[None]:
    """A connection whose server takes one statement at a time, each with its values apart."""
    options = connection.settings_dict["OPTIONS"]
    connection.close()
    with (
        mock.patch.dict(options, server_side_binding=True),
        mock.patch.dict(connection.features.__dict__, uses_server_side_binding=True),
    ):
        yield
        connection.close()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="an option of PostgreSQL's driver")
@pytest.mark.usefixtures("bound_by_server")
def test_a_server_that_takes_one_statement_at_a_time_is_asked_three_times() -> None:
    with nested(1):
        assert statements(event_id="order-1") == ["SAVEPOINT", "INSERT", "RELEASE"]
    assert written() == {"order-1"}
    with without_table():
        assert_only_the_event_is_lost(transaction.atomic)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="others undo the statement alone")
def test_a_transaction_of_the_shop_that_has_failed_is_the_shops_to_mend() -> None:
    with configured(RAISE_ERRORS=False), dropped() as drops, transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SAVEPOINT shop")
            with suppress(DatabaseError):
                cursor.execute("SELECT 1 / 0")
            assert emit(event_id="order-1") is None
            cursor.execute("ROLLBACK TO SAVEPOINT shop")
        assert emit(event_id="order-2") == "order-2"
    assert [told[1] for told in drops.told] == ["database"]
    assert written() == {"order-2"}


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="others get one statement anyway")
def test_a_wrapper_that_reads_on_does_not_make_a_known_id_a_new_one() -> None:
    def read_on(execute: Any, *arguments: Any) -> Any:
        answer = execute(*arguments)
        while answer is not None and answer.nextset():
            pass
        return answer

    with transaction.atomic(), connection.execute_wrapper(read_on):
        assert emit(event_id="order-1") == "order-1"
        assert emit(event_id="order-1") is None


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.usefixtures("broken_outbox")
def test_what_follows_a_lost_event_is_committed(is_first: bool) -> None:
    with configured(RAISE_ERRORS=False), transaction.atomic():
        if not is_first:
            Group.objects.create(name="before")
        assert emit() is None
        Group.objects.create(name="after")
    assert Group.objects.filter(name="after").exists()


@pytest.mark.usefixtures("broken_outbox")
def test_while_developing_it_is_an_error() -> None:
    with pytest.raises(DatabaseError):
        emit()


def test_in_a_transaction_that_is_lost_already_nothing_more_is_broken() -> None:
    with configured(RAISE_ERRORS=False), dropped() as drops, transaction.atomic():
        emit(event_id="order-1")
        transaction.set_rollback(True)
        assert emit(event_id="order-2") is None
    assert [told[1] for told in drops.told] == ["database"]
    assert written() == set()
    assert emit(event_id="order-1") == "order-1"


def test_ids_that_differ_in_case_are_different_orders() -> None:
    assert emit(event_id="order-a")
    assert emit(event_id="order-A")
    assert written() == {"order-a", "order-A"}


#: How many connections to this database wait for the lock of another.
WAITING = {
    "postgresql": (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ),
    "mysql": (
        "SELECT count(*) FROM information_schema.innodb_trx"
        " JOIN information_schema.processlist ON id = trx_mysql_thread_id"
        " WHERE db = database() AND trx_state = 'LOCK WAIT'"
    ),
}


def wait_until_one_waits() -> None:
    """Look on by a connection of its own: in a transaction PostgreSQL sees the same all along."""
    observer = connection.copy()
    deadline = time.monotonic() + 10
    try:
        with observer.cursor() as cursor:
            waiting = 0
            while not waiting and time.monotonic() < deadline:
                # InnoDB goes on telling the same to whoever asks again within a tenth of a second.
                time.sleep(0.15)
                cursor.execute(WAITING[connection.vendor])
                (waiting,) = cursor.fetchone()
    finally:
        observer.close()
    assert waiting == 1


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
@pytest.mark.parametrize("depth", [0, 1], ids=["autocommit", "transaction"])
@pytest.mark.parametrize("is_kept", [True, False])
def test_of_two_orders_at_once_with_one_id_one_is_reported(is_kept: bool, depth: int) -> None:
    results: list[str | None] = []

    def emit_meanwhile() -> None:
        try:
            with nested(depth):
                # What MariaDB's repeatable reads see from now on.
                assert not Group.objects.exists()
                results.append(emit(event_id="order-1"))
                Group.objects.create(name="second")
        finally:
            connections.close_all()

    other = threading.Thread(target=emit_meanwhile)
    with transaction.atomic():
        assert emit(event_id="order-1")
        other.start()
        wait_until_one_waits()
        assert results == []
        transaction.set_rollback(not is_kept)
    other.join(30)
    assert results == [None if is_kept else "order-1"]
    assert written() == {"order-1"}
    assert Group.objects.get().name == "second"
