"""Health view and metrics where events go to several destinations."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from django_moloco_rmp.contrib.prometheus import MolocoCollector
from django_moloco_rmp.database import DatabaseNow
from tests.metrics.samples import circuit
from tests.outbox.samples import DAY, record_many

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.metrics.urls")]

ENTRY = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}


@pytest.fixture(autouse=True)
def several(settings: Any) -> None:
    settings.MOLOCO_RMP = {"DESTINATIONS": {"de": ENTRY, "fr": ENTRY}}


def test_one_in_trouble_is_told(client: Client) -> None:
    answer = client.get("/moloco/health/")
    assert (answer.status_code, answer.json()["troubles"]) == (200, [])
    record_many(1, destination="fr", available_at=DatabaseNow() - DAY)
    circuit("de", paused=True, since=1000)
    answer = client.get("/moloco/health/")
    found = answer.json()
    assert answer.status_code == 503
    assert (found["status"], found["troubles"]) == ("unhealthy", ["backlog", "circuit"])
    troubles = {name: each["troubles"] for name, each in found["destinations"].items()}
    assert troubles == {"de": ["circuit"], "fr": ["backlog"]}
    assert found["destinations"]["de"]["circuit"] == "paused"
    assert "circuit" not in found


def test_one_can_be_asked_for_alone(client: Client) -> None:
    circuit("de", paused=True, since=1000)
    assert client.get("/moloco/health/?destination=de").status_code == 503
    answer = client.get("/moloco/health/?destination=fr")
    assert (answer.status_code, answer.json()["circuit"]) == (200, "closed")
    assert client.get("/moloco/health/?destination=it").status_code == 404


def test_settings_at_fault(client: Client, settings: Any) -> None:
    settings.MOLOCO_RMP = {"DESTINATIONS": {"de": ENTRY, "fr": {}}}
    answer = client.get("/moloco/health/")
    assert (answer.status_code, answer.json()["troubles"]) == (503, ["settings"])


def test_each_has_series_of_its_own() -> None:
    record_many(2, destination="fr")
    circuit("de", paused=True)
    registry = CollectorRegistry()
    registry.register(MolocoCollector())
    found = {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }
    assert found["moloco_rmp_outbox_events", "de", "due"] == 0
    assert found["moloco_rmp_outbox_events", "fr", "due"] == 2
    assert found["moloco_rmp_circuit_state", "de", "paused"] == 1
    assert found["moloco_rmp_circuit_state", "fr", "paused"] == 0
    assert found["moloco_rmp_events_total", "fr", "HOME", "delivered"] == 0
    assert [key for key in found if key[0] == "moloco_rmp_database_up"] == [
        ("moloco_rmp_database_up",)
    ]
