"""What a task does, in the process that does it."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp.models import Gate, OutboxEvent
from django_moloco_rmp.runners.draining import drain_outbox
from django_moloco_rmp.sandbox import SandboxServer
from tests import settings as suite
from tests.outbox.samples import record
from tests.processes.children import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
_DESCRIPTORS = Path("/proc/self/fd")


def sending_to(sandbox: SandboxServer, **keys: Any) -> Any:
    return override_settings(MOLOCO_RMP={**suite.MOLOCO_RMP, "BASE_URL": sandbox.url, **keys})


def test_it_sends_what_is_due(sandbox: SandboxServer) -> None:
    record("cart-1", "cart-2")
    with sending_to(sandbox):
        drain_outbox(None)
    assert [each["body"]["id"] for each in sandbox.events()] == ["cart-1", "cart-2"]
    assert not OutboxEvent.objects.exists()


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_it_sends_from_the_outbox_it_is_told(sandbox: SandboxServer) -> None:
    record("here")
    record("there", using="other")
    with sending_to(sandbox):
        drain_outbox("other")
    assert [each["body"]["id"] for each in sandbox.events()] == ["there"]


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
    return sum(target.startswith("socket:") for target in map(_target, _DESCRIPTORS.iterdir()))


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""  # of the listing itself


def test_it_keeps_no_connection_to_moloco(sandbox: SandboxServer) -> None:
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
