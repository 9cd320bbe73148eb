"""The relay that the settings describe."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.fleet import fleet_from_settings
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.relay import Tally
from django_moloco_rmp.sandbox import SandboxServer
from tests.http_server import Request
from tests.outbox.relays import PATIENCE, HoldingServer, WatchedServer, running
from tests.outbox.samples import DAY, record, record_many, seconds_until_due

REQUIRED = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}


@pytest.mark.django_db
def test_it_posts_to_the_platform_with_the_key(settings: Any, sandbox: SandboxServer) -> None:
    settings.MOLOCO_RMP = {**REQUIRED, "BASE_URL": sandbox.url}
    record("cart-1")
    assert fleet_from_settings("default").run(until_empty=True) == Tally(delivered=1)
    assert [call["status"] for call in sandbox.events()] == [200]


@pytest.mark.django_db
def test_a_relay_made_later_has_the_settings_of_then(settings: Any) -> None:
    with SandboxServer("OTHER", "other-key") as sandbox:
        settings.MOLOCO_RMP = {**REQUIRED, "BASE_URL": sandbox.url}
        record_many(1)
        assert fleet_from_settings("default").run(until_empty=True) == Tally(rescheduled=1)
        settings.MOLOCO_RMP = {
            "PLATFORM_ID": "OTHER",
            "API_KEY": "other-key",
            "BASE_URL": sandbox.url,
        }
        # What was refused the key before is sent at once as well, as the key is another.
        assert fleet_from_settings("default").run(until_empty=True) == Tally(delivered=1)


@pytest.mark.django_db(databases=["default", "other"])
def test_it_works_on_the_database_it_is_asked_for(settings: Any, sandbox: SandboxServer) -> None:
    settings.MOLOCO_RMP = {**REQUIRED, "BASE_URL": sandbox.url}
    record("here")
    record("there", using="other")
    fleet_from_settings("other").run(until_empty=True)
    assert [call["body"]["id"] for call in sandbox.events()] == ["there"]
    assert (Outbox("default").pending(), Outbox("other").pending()) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_batches_are_as_large_as_set(settings: Any) -> None:
    record_many(8)
    with HoldingServer() as server:
        settings.MOLOCO_RMP = {**REQUIRED, "BASE_URL": server.url, "BATCH_SIZE": 4}
        relay = fleet_from_settings("default")
        with running(relay, until_empty=True) as thread:
            server.wait_for(4)
            assert OutboxEvent.objects.exclude(lease_token="").count() == 4
            server.answering.set()
            thread.join(PATIENCE)
    assert relay.tally == Tally(delivered=8)


@pytest.mark.django_db(transaction=True)
def test_a_lease_lasts_as_long_as_set(settings: Any) -> None:
    leases = []

    def watch(request: Request) -> None:
        leases.append(seconds_until_due(OutboxEvent.objects.get()))

    record("cart-1")
    with WatchedServer(watch) as server:
        settings.MOLOCO_RMP = {**REQUIRED, "BASE_URL": server.url, "LEASE": 77}
        fleet_from_settings("default").run(until_empty=True)
    assert leases == [pytest.approx(77, abs=5)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("concurrency", [1, 9])
def test_as_many_are_sent_at_once_as_set(settings: Any, concurrency: int) -> None:
    record_many(10)
    with HoldingServer() as server:
        settings.MOLOCO_RMP = {**REQUIRED, "BASE_URL": server.url, "CONCURRENCY": concurrency}
        relay = fleet_from_settings("default")
        with running(relay, max_events=10) as thread:
            server.wait_for(concurrency)
            server.answering.set()
            thread.join(PATIENCE)
    assert relay.tally == Tally(delivered=10)
    assert server.connections == server.most_at_once == concurrency


@pytest.mark.django_db
def test_it_waits_for_an_answer_as_long_as_set(settings: Any, sandbox: SandboxServer) -> None:
    settings.MOLOCO_RMP = {**REQUIRED, "BASE_URL": sandbox.url, "TIMEOUT": (5, 0.1)}
    sandbox.fault({"delay": 600})
    record("cart-1")
    assert fleet_from_settings("default").run(until_empty=True) == Tally(rescheduled=1)
    assert "read timeout=0.1" in OutboxEvent.objects.get().last_error


@pytest.mark.django_db
def test_finished_events_are_kept_as_long_as_set(settings: Any, sandbox: SandboxServer) -> None:
    settings.MOLOCO_RMP = {
        **REQUIRED,
        "BASE_URL": sandbox.url,
        "DEDUPE_DAYS": 2,
        "REJECTED_DAYS": 4,
    }
    for state in (OutboxEvent.State.SENT, OutboxEvent.State.REJECTED):
        for days in (1, 3, 5):
            record_many(1, state=state, finished_at=DatabaseNow() - days * DAY)
    fleet_from_settings("default").run(until_empty=True)
    left = OutboxEvent.objects.order_by("state").values_list("state", flat=True)
    assert list(left) == [1, 2, 2]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"PLATFORM_ID": "Größe"}, "platform_name"),
        ({"PLATFORM_ID": "SHOP", "PLATFORM_NAME": "x" * 60}, "platform_name"),
        ({"PLATFORM_ID": ".."}, "platform_id"),
        ({"PLATFORM_ID": "SHOP", "BASE_URL": "https://user@host"}, "base_url|BASE_URL"),
        ({"PLATFORM_ID": "SHOP", "DOMAIN_SUFFIX": "no host"}, "domain_suffix|DOMAIN_SUFFIX"),
        ({"PLATFORM_ID": "SHOP", "API_KEY": "ké y"}, "api_key|API_KEY"),
    ],
)
def test_an_impossible_address_is_named(settings: Any, values: dict[str, Any], named: str) -> None:
    settings.MOLOCO_RMP = {"API_KEY": "secret-key", **values}
    with pytest.raises(ImproperlyConfigured, match=rf"^MOLOCO_RMP.*({named})") as raised:
        fleet_from_settings("default")
    assert "secret-key" not in str(raised.value)
