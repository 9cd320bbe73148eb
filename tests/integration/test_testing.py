"""capture_events(), for the shop's own tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from django.db import connection, transaction
from django.test import (
    AsyncClient,
    LiveServerTestCase,
    SimpleTestCase,
    TestCase,
    TransactionTestCase,
    override_settings,
)

import django_moloco_rmp
from django_moloco_rmp import Item, Money, atrack, track
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.testing import Dropped, SandboxServer, capture_events
from tests.integration.visits import FIREFOX, configured

ADA = {"user_id": "a" * 64, "channel_type": "SITE", "page_id": "CHECKOUT"}
SHOP = override_settings(ROOT_URLCONF="tests.integration.tracking_urls", STATIC_URL="/static/")


class InAShopsTestCase(TestCase):
    """Where nothing is ever committed."""

    def test_events_are_seen_when_they_happen(self) -> None:
        with capture_events() as events:
            track("HOME", shopper=ADA)
            track("PAGE_VIEW", shopper=ADA)
        track("LAND", shopper=ADA)
        assert [event.event_type for event in events] == ["HOME", "PAGE_VIEW"]
        assert OutboxEvent.objects.count() == 3

    def test_blocks_may_be_nested(self) -> None:
        with capture_events() as outer:
            track("HOME", shopper=ADA)
            with capture_events() as inner:
                track("LAND", shopper=ADA)
            track("HOME", shopper=ADA)
        assert [len(outer), len(inner)] == [3, 1]

    def test_a_database_that_is_not_allowed_is_left_alone(self) -> None:
        with capture_events() as events:
            track("HOME", shopper=ADA, using="other")
            track("HOME", shopper=ADA)
        assert len(events) == 2
        assert OutboxEvent.objects.count() == 1

    async def test_in_async_code(self) -> None:
        with capture_events() as events:
            await atrack("HOME", shopper=ADA)
        assert [event.event_type for event in events] == ["HOME"]
        assert await OutboxEvent.objects.acount() == 1


class InAShopsSimpleTestCase(SimpleTestCase):
    """Where the database is forbidden."""

    def test_events_are_seen_all_the_same(self) -> None:
        with capture_events() as events:
            assert track("HOME", shopper=ADA)
            with capture_events() as inner:
                assert track("PURCHASE", Item("a", price=Money(1, "EUR")), shopper=ADA)
        assert [event.event_type for event in events] == ["HOME", "PURCHASE"]
        assert inner == events[1:]

    def test_an_id_that_is_known_is_a_no_op_as_in_the_outbox(self) -> None:
        with capture_events() as events:
            assert track("HOME", event_id="visit-1", shopper=ADA) == "visit-1"
            with capture_events() as inner:
                assert track("HOME", event_id="visit-1", shopper=ADA) is None
            assert track("HOME", event_id="visit-1", using="other", shopper=ADA)
        assert [len(events), len(inner)] == [2, 0]
        with capture_events() as events:
            assert track("HOME", event_id="visit-1", shopper=ADA)
        assert len(events) == 1

    def test_each_destination_knows_its_own_ids(self) -> None:
        entry = {"PLATFORM_ID": "SHOP", "API_KEY": "k"}
        several = self.settings(MOLOCO_RMP={"DESTINATIONS": {"de": entry, "fr": entry}})
        with several, capture_events() as events:
            for name in ("de", "fr", "de"):
                track("HOME", event_id="visit-1", shopper=ADA, destination=name)
        assert (len(events.to("de")), len(events.to("fr"))) == (1, 1)

    def test_without_a_capture_the_database_stays_forbidden(self) -> None:
        # Django says so of a query, pytest-django already of a connection.
        with pytest.raises((AssertionError, RuntimeError), match="not allowed"):
            track("HOME", shopper=ADA)

    @SHOP
    def test_pages(self) -> None:
        with capture_events() as events:
            assert self.client.get("/p/lamp/", headers={"user-agent": FIREFOX}).status_code == 200
        assert [event.page_id for event in events] == ["PRODUCT:lamp"]

    @SHOP
    async def test_async_pages(self) -> None:
        with capture_events() as events:
            response = await AsyncClient(headers={"user-agent": FIREFOX}).get("/p-async/lamp/")
            assert response.status_code == 200
            await atrack("HOME", shopper=ADA)
        assert [event.event_type for event in events] == ["ITEM_PAGE_VIEW", "HOME"]


class InAShopsTransactionTestCase(TransactionTestCase):
    """Where transactions are real."""

    def test_an_event_is_seen_when_it_is_reported_even_if_it_is_rolled_back(self) -> None:
        with capture_events() as events:
            with transaction.atomic():
                track("PURCHASE", Item("a", price=Money(1, "EUR")), shopper=ADA)
                transaction.set_rollback(True)
            track("HOME", shopper=ADA)
        assert [event.event_type for event in events] == ["PURCHASE", "HOME"]
        assert [row.event_type for row in OutboxEvent.objects.all()] == ["HOME"]


@SHOP
class OnALiveServer(LiveServerTestCase):
    """Where pages are served by other threads."""

    def test_events_of_the_servers_threads_are_seen(self) -> None:
        with capture_events() as events:
            for path in ("/p/lamp/", "/p-async/lamp/"):
                visit = Request(self.live_server_url + path, headers={"User-Agent": FIREFOX})
                with urlopen(visit, timeout=30) as response:
                    assert response.status == 200
        assert [event.page_id for event in events] == ["PRODUCT:lamp", "PRODUCT:lamp"]


def test_pytest_forbids_the_database_by_other_means() -> None:
    with capture_events() as events:
        track("HOME", shopper=ADA)
    assert len(events) == 1
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        track("HOME", shopper=ADA)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_is_no_database_that_is_forbidden() -> None:
    connection.close()
    name = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = "/nowhere/at/all"
    try:
        with capture_events() as events, configured(RAISE_ERRORS=False):
            assert track("HOME", shopper=ADA) is None
    finally:
        connection.settings_dict["NAME"] = name
    assert events == []
    assert [each.reason for each in events.dropped] == ["database"]


@pytest.mark.django_db
def test_what_was_dropped_is_told_with_its_reason() -> None:
    with configured(RAISE_ERRORS=False), capture_events() as events:
        track("SEARCH", shopper=ADA)
        track("HOME", shopper={"dropped": "consent"})
    track("SEARCH", search_query="lamp", shopper=ADA)
    assert events == []
    assert events.dropped == [
        Dropped(
            "SEARCH",
            "invalid",
            "search_query: is required for SEARCH. Pass what the shopper searched for.",
        ),
        Dropped("HOME", "consent", ""),
    ]


@pytest.mark.django_db
def test_an_error_inside_ends_the_capture() -> None:
    with pytest.raises(ZeroDivisionError), capture_events() as events:
        1 / 0  # noqa: B018
    track("HOME", shopper=ADA)
    assert events == []


def test_the_sandbox_is_at_hand() -> None:
    with SandboxServer() as sandbox:
        assert sandbox.events() == []


@pytest.mark.slow
def test_the_package_is_imported_before_there_are_settings() -> None:
    folder = Path(django_moloco_rmp.__file__).parents[1]
    program = "import sys; from django_moloco_rmp import *; assert 'requests' not in sys.modules"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env={"PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
