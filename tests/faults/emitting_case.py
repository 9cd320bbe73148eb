"""A shop's own tests, as Django's runner finds them by name: see F23."""

from __future__ import annotations

import threading

from django.db import connections
from django.test import TransactionTestCase, override_settings

from django_moloco_rmp import Item, Money, track
from django_moloco_rmp.models import OutboxEvent

SHOPPER = {"channel_type": "SITE", "persistent_id": "5" * 64, "page_id": "CART_PAGE"}

LAMP = Item("lamp", price=Money("19.90", "EUR"))


@override_settings(
    MOLOCO_RMP={"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key", "RELAY": "thread"}
)
class Emitting(TransactionTestCase):
    """Commits events while the settings want a relay in this process."""

    def test_an_order_and_a_page_view_are_recorded(self) -> None:
        for event_type in ("PURCHASE", "ITEM_PAGE_VIEW"):
            assert track(event_type, LAMP, shopper=SHOPPER)
        assert OutboxEvent.objects.count() == 2
        assert threading.active_count() == 1
        connections.close_all()
