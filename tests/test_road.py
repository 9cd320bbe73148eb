"""The whole road once: a request's shopper, track(), the outbox, the relay, the vendor's answer."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.test import RequestFactory

from django_moloco_rmp import Item, Money, track_add_to_cart, track_purchase
from django_moloco_rmp.client import EventClient
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.relay import Relay
from django_moloco_rmp.sandbox import SandboxServer
from django_moloco_rmp.shopper import Shopper
from tests.contract_schema import problems

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
LAMP = Item("lamp", price=Money("19.90", "EUR"), quantity=2)


@pytest.mark.django_db(transaction=True)
def test_committed_events_arrive_once_and_rolled_back_ones_never(sandbox: SandboxServer) -> None:
    request = RequestFactory().get("/", headers={"user-agent": BROWSER})
    request.moloco = Shopper(request)  # type: ignore[attr-defined]
    cart_id = track_add_to_cart(LAMP, request=request)
    with transaction.atomic():
        assert track_purchase(LAMP, request=request, event_id="order-0") == "order-0"
        transaction.set_rollback(True)
    with transaction.atomic():
        assert track_purchase(LAMP, request=request, event_id="order-1") == "order-1"
        assert track_purchase(LAMP, request=request, event_id="order-1") is None

    with EventClient("SHOP_TEST", "test-key", base_url=sandbox.url) as client:
        relay = Relay(Outbox("default"), client.insert_body)
        assert relay.run(until_empty=True).delivered == 2

    received = sandbox.events()
    assert {event["body"]["id"] for event in received} == {cart_id, "order-1"}
    assert [event["status"] for event in received] == [200, 200]
    assert [problems(event["body"]) for event in received] == [[], []]
    # The order's id stays known, without its body.
    assert list(OutboxEvent.objects.values_list("event_id", "payload")) == [("order-1", "")]
    assert track_purchase(LAMP, request=request, event_id="order-1") is None
