"""drain(): what was reported is sent, within the test's own transaction."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.test import TestCase, TransactionTestCase, override_settings

from django_moloco_rmp import InvalidEventError, atrack, track
from django_moloco_rmp.models import Gate, OutboxEvent
from django_moloco_rmp.testing import SandboxServer, Tally, drain
from tests.integration.visits import configured

ADA = {"user_id": "a" * 64, "channel_type": "SITE", "page_id": "CHECKOUT"}


class InAShopsTestCase(TestCase):
    databases = {"default", "other"}  # noqa: RUF012

    def test_what_was_reported_arrives(self) -> None:
        with SandboxServer("OTHER_SHOP", "other-key") as sandbox:
            track("HOME", event_id="visit-1", shopper=ADA)
            track("PAGE_VIEW", event_id="visit-2", shopper=ADA)
            assert drain(sandbox) == Tally(delivered=2)
            assert {call["body"]["id"] for call in sandbox.events()} == {"visit-1", "visit-2"}
            assert drain(sandbox) == Tally()
        assert connection.in_atomic_block
        assert settings.MOLOCO_RMP["PLATFORM_ID"] == "SHOP_TEST"

    def test_it_goes_to_any_address_with_the_settings_credentials(self) -> None:
        track("HOME", shopper=ADA)
        with SandboxServer() as sandbox:
            assert drain(sandbox.url) == Tally(delivered=1)

    def test_by_default_it_goes_where_the_settings_say(self) -> None:
        track("HOME", shopper=ADA)
        with SandboxServer() as sandbox, configured(BASE_URL=sandbox.url):
            assert drain() == Tally(delivered=1)

    def test_a_failure_waits_and_a_refusal_is_kept(self) -> None:
        track("HOME", shopper=ADA)
        with SandboxServer() as sandbox:
            sandbox.fault({"status": 400})
            assert drain(sandbox) == Tally(rejected=1)
            track("HOME", shopper=ADA)
            sandbox.fault({"status": 503})
            assert drain(sandbox) == Tally(rescheduled=1)
        assert OutboxEvent.objects.count() == 2

    def test_what_is_for_one_of_several_destinations_is_sent_alone(self) -> None:
        entry = {"PLATFORM_ID": "SHOP", "API_KEY": "k", "BASE_URL": "http://127.0.0.1:9"}
        several = configured(DESTINATIONS={"de": entry, "fr": entry})
        with several, SandboxServer() as sandbox:
            for name in ("default", "de", "fr"):
                track("HOME", event_id=name, shopper=ADA, destination=name)
            assert drain(sandbox, destination="fr") == Tally(delivered=1)
            assert [call["body"]["id"] for call in sandbox.events()] == ["fr"]
            with pytest.raises(InvalidEventError, match="Use one of default, de, fr"):
                drain(sandbox, destination="it")
            assert drain(sandbox) == Tally(delivered=2)

    def test_where_there_are_entries_alone_no_other_is_made(self) -> None:
        entries = {"de": {"PLATFORM_ID": "SHOP", "API_KEY": "k"}}
        with override_settings(MOLOCO_RMP={"DESTINATIONS": entries}), SandboxServer() as sandbox:
            track("HOME", shopper=ADA)
            # The sandbox knows no such platform; then the right one is tried at once.
            assert drain(sandbox.url) == Tally(rescheduled=1)
            assert drain(sandbox) == Tally(delivered=1)
            assert list(Gate.objects.values_list("name", flat=True)) == ["de"]

    def test_another_database_has_an_outbox_of_its_own(self) -> None:
        track("HOME", shopper=ADA, using="other")
        with SandboxServer() as sandbox:
            assert drain(sandbox) == Tally()
            assert drain(sandbox, using="other") == Tally(delivered=1)

    async def test_in_async_code(self) -> None:
        await atrack("HOME", shopper=ADA)
        with SandboxServer() as sandbox:
            assert await sync_to_async(drain)(sandbox) == Tally(delivered=1)


class InAShopsTransactionTestCase(TransactionTestCase):
    def test_what_was_committed_arrives(self) -> None:
        track("HOME", shopper=ADA)
        with SandboxServer() as sandbox:
            assert drain(sandbox) == Tally(delivered=1)
        assert not OutboxEvent.objects.exists()
