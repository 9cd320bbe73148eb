"""What a task does, in the process that does it."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import django
import pytest
from django.db import connection, connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import Gate, OutboxEvent
from django_moloco_rmp.runners import celery as celery_runner
from django_moloco_rmp.runners.draining import drain_outbox
from django_moloco_rmp.sandbox import SandboxServer
from tests import settings as suite
from tests.outbox.relays import HoldingServer
from tests.outbox.samples import record
from tests.processes.children import PATIENCE, target, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
_DESCRIPTORS = Path("/proc/self/fd")


def sending_to(sandbox: SandboxServer, **keys: Any) -> Any:
    return override_settings(MOLOCO_RMP={**suite.MOLOCO_RMP, "BASE_URL": sandbox.url, **keys})


def test_it_sends_what_is_due(sandbox: SandboxServer) -> None:
    record("cart-1", "cart-2")
    with sending_to(sandbox):
        drain_outbox(None)
    assert sorted(each["body"]["id"] for each in sandbox.events()) == ["cart-1", "cart-2"]
    assert not OutboxEvent.objects.exists()


def test_the_task_of_celery_does_that(sandbox: SandboxServer) -> None:
    record("cart-1")
    with sending_to(sandbox):
        celery_runner.drain()
    assert [each["body"]["id"] for each in sandbox.events()] == ["cart-1"]


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has no tasks before 6.0")
def test_the_task_of_django_does_that(sandbox: SandboxServer) -> None:
    from django_moloco_rmp.runners import tasks as tasks_runner  # noqa: PLC0415

    record("cart-1")
    with sending_to(sandbox):
        tasks_runner.drain.call()
    assert [each["body"]["id"] for each in sandbox.events()] == ["cart-1"]


def test_after_its_time_it_leaves_the_rest_to_another(sandbox: SandboxServer) -> None:
    record(*[f"cart-{number}" for number in range(10)])
    sandbox.fault({"delay": 0.2, "count": 100})
    with sending_to(sandbox, CONCURRENCY=1):
        drain_outbox(None, seconds=0.3)
    assert 1 <= len(sandbox.events()) < 10
    left = OutboxEvent.objects.filter(available_at__lte=DatabaseNow(), lease_token="")
    assert left.count() == OutboxEvent.objects.count() == 10 - len(sandbox.events())


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_it_sends_from_the_outbox_it_is_told(sandbox: SandboxServer) -> None:
    record("here")
    record("there", using="other")
    with sending_to(sandbox):
        drain_outbox("other")
    assert [each["body"]["id"] for each in sandbox.events()] == ["there"]


def test_a_destination_that_hangs_holds_up_no_other(sandbox: SandboxServer) -> None:
    entry = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}
    with HoldingServer() as down:
        urls = {"down": down.url, "up": sandbox.url}
        entries = {name: {**entry, "BASE_URL": url} for name, url in urls.items()}
        with override_settings(MOLOCO_RMP={"DESTINATIONS": entries}):
            # All have left a sign of life: the drain is called for by the one alone.
            drain_outbox(None)
            record("slow", to="down")
            with ThreadPoolExecutor(1) as threads:
                drain = threads.submit(drained)
                down.wait_for(1)
                record("fast", to="up")
                assert sandbox.wait_for(1, PATIENCE)
                assert not drain.done()
                down.answering.set()
                drain.result(PATIENCE)
    assert not OutboxEvent.objects.exists()


def drained() -> None:
    try:
        drain_outbox(None)
    finally:
        connections.close_all()


def test_of_several_destinations_none_is_served_if_none_calls_for_it(
    sandbox: SandboxServer,
) -> None:
    entry = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key", "BASE_URL": sandbox.url}
    with override_settings(MOLOCO_RMP={"DESTINATIONS": {"de": entry, "fr": entry}}):
        drain_outbox(None)
        with CaptureQueriesContext(connection) as queries:
            drain_outbox(None)
        # Of each whether anything is due, and whether it was seen.
        assert len(queries) == 4
        record("a", to="fr")
        drain_outbox(None)
    assert [each["body"]["id"] for each in sandbox.events()] == ["a"]


def test_a_shop_that_reports_nothing_sends_nothing(sandbox: SandboxServer) -> None:
    record("cart-1")
    with sending_to(sandbox, ENABLED=False):
        drain_outbox(None)
    assert sandbox.events() == []


def test_a_nudge_that_comes_late_costs_two_looks(sandbox: SandboxServer) -> None:
    record("cart-1")
    with sending_to(sandbox):
        drain_outbox(None)
        with CaptureQueriesContext(connection) as queries:
            drain_outbox(None)
        assert len(queries) == 2
        # The floor leaves a sign of life now and then, though nothing is due.
        Gate.objects.update(relay_seen_at=1)
        drain_outbox(None)
    assert Gate.objects.get().relay_seen_at > 1


def sockets() -> int:
    """How many sockets this process has open."""
    return sum((target(link) or "").startswith("socket:") for link in _DESCRIPTORS.iterdir())


def test_it_keeps_no_connection_to_moloco(sandbox: SandboxServer) -> None:
    assert not OutboxEvent.objects.exists()  # a server's connection is open now
    before = sockets()
    # A worker that is quiet collects no garbage.
    gc.disable()
    try:
        with sending_to(sandbox):
            for number in range(3):
                record(f"cart-{number}")
                drain_outbox(None)
        wait_until(lambda: sockets() <= before)
    finally:
        gc.enable()
