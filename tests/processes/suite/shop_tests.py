"""A shop's own tests, as Django's runner and pytest run them: their transactions are committed."""

from __future__ import annotations

import threading

import requests
from django.test import Client, LiveServerTestCase, TransactionTestCase

from django_moloco_rmp.models import OutboxEvent


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("moloco")]


class CommittedTests(TransactionTestCase):
    def test_events_are_in_the_database_at_once(self) -> None:
        for event_type in ("PAGE_VIEW", "PURCHASE"):
            Client().get(f"/emit/{event_type}/2/")
        assert OutboxEvent.objects.count() == 4
        assert threads() == []


class ServedTests(LiveServerTestCase):
    def test_a_served_page_reports_in_the_same_way(self) -> None:
        for event_type in ("PAGE_VIEW", "PURCHASE"):
            requests.get(f"{self.live_server_url}/emit/{event_type}/2/", timeout=30)
        assert OutboxEvent.objects.count() == 4
        assert threads() == []
