"""docs/monitoring.md is true, and its examples work."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from logging.config import DictConfigurator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, RequestFactory
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from django_moloco_rmp import signals
from django_moloco_rmp.conf import Settings
from django_moloco_rmp.contrib.prometheus import MOST_COUNTED
from django_moloco_rmp.counts import KEPT
from django_moloco_rmp.protocol import Reason, State
from tests.metrics import guide
from tests.metrics.samples import circuit, due, opened, relay_seen
from tests.processes import children

if not guide.GUIDE.exists():
    pytest.skip("the guide is not part of what is tested here", allow_module_level=True)


@pytest.mark.django_db
def test_the_answers_of_the_health_view(client: Client, settings: Any) -> None:
    settings.ROOT_URLCONF = type("urls", (), guide.run("shop/urls.py"))
    healthy, unhealthy, _ = map(json.loads, guide.blocks("json"))
    relay_seen(5)
    answer = client.get("/moloco/health/").json()
    assert answer.keys() == healthy.keys() == unhealthy.keys()
    assert answer["status"] == healthy["status"]
    due(1800)
    opened(since=1800)
    answer = client.get("/moloco/health/").json()
    assert (answer["status"], answer["troubles"]) == (unhealthy["status"], unhealthy["troubles"])
    assert [row[0] for row in guide.rows("Health view")] == [f"`{name}`" for name in answer]


@pytest.mark.django_db
def test_the_answer_for_several_destinations(client: Client, settings: Any) -> None:
    settings.ROOT_URLCONF = type("urls", (), guide.run("shop/urls.py"))
    *_, told = map(json.loads, guide.blocks("json"))
    entry = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}
    settings.MOLOCO_RMP = {"DESTINATIONS": dict.fromkeys(told["destinations"], entry)}
    circuit("ch", paused=True, since=1804.2)
    answer = client.get("/moloco/health/")
    assert answer.status_code == 503
    found = answer.json()
    assert found.keys() == told.keys()
    assert found["troubles"] == told["troubles"]
    for name, figures in told["destinations"].items():
        assert found["destinations"][name].keys() == figures.keys()
        assert found["destinations"][name]["troubles"] == figures["troubles"]


def test_the_limits_of_the_health_view() -> None:
    part = guide.text().split("The limits are keys of")[1].split("\n\n")[1]
    found = dict(re.findall(r"^\| `(HEALTH_\w+)` \| `(\w+)`", part, re.M))
    assert found == {
        name.upper(): str(getattr(Settings(), name))
        for name in Settings.__dataclass_fields__
        if name.startswith("health_")
    }


@pytest.mark.django_db(databases=["default", "other"])
def test_a_view_for_another_database(client: Client, settings: Any) -> None:
    settings.ROOT_URLCONF = type("urls", (), guide.run("shop/other_urls.py"))
    due(1800)
    assert client.get("/moloco/other/health/").status_code == 200


@pytest.mark.django_db
def test_the_table_of_metrics(registry: CollectorRegistry) -> None:
    told = {
        codes[0].removesuffix("_total"): (row[1], set(guide.codes(row[2])))
        for row in guide.rows("Metrics")
        if (codes := guide.codes(row[0]))
    }
    is_there: dict[str, Any] = {}
    for family in registry.collect():
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        is_there[family.name] = (family.type, labels)
    # Absent without such a limit.
    is_there["moloco_rmp_adapted_rate"] = ("gauge", {"destination"})
    # These have no series before something has happened.
    is_there["moloco_rmp_post_seconds"] = ("histogram", {"destination", "status"})
    is_there["moloco_rmp_dropped"] = ("counter", {"event_type", "reason"})
    assert told == is_there
    assert f"Counted up to {MOST_COUNTED}" in guide.text()
    assert f"older than {KEPT // 24} days" in guide.text()


def alerts() -> list[str]:
    (rules,) = guide.blocks("yaml")
    found = re.findall(r"^ +expr: (.+)$", rules, re.M)
    assert len(found) == rules.count("- alert: ")
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("rule", alerts())
def test_alerts_ask_for_what_there_is(registry: CollectorRegistry, rule: str) -> None:
    reasons = guide.text().split("Drops for the reasons ")[1].split(" are as")[0]
    values = {"event_type": {"PURCHASE"}, "state": set(State), "reason": set(Reason)}
    values["state"] |= {"due", "waiting", "rejected", "delivered"}
    values["outcome"] = {"delivered", "rejected", "retried", "dropped"}
    all_reasons = set(guide.codes(documented_drop_reasons()))
    names = {name for each in registry.collect() for name in (each.name, f"{each.name}_total")}
    names |= {"moloco_rmp_post_seconds_bucket", "moloco_rmp_dropped_total"}
    selectors = re.findall(r"(moloco_rmp_\w+)(?:\{(.*?)\})?", rule)
    assert selectors
    for name, matchers in selectors:
        assert name in names
        for label, pattern in re.findall(r'(\w+)=~?"(.*?)"', matchers):
            known = all_reasons if name == "moloco_rmp_dropped_total" else values[label]
            assert set(pattern.split("|")) <= known
            if known is all_reasons:
                assert set(pattern.split("|")) == all_reasons - set(guide.codes(reasons))


def documented_drop_reasons() -> str:
    """The reasons of ``event_dropped`` as its own documentation has them, as codes."""
    source = Path(signals.__file__).read_text(encoding="utf-8")
    text = source.split("#: An event was not recorded. Arguments: ``reason``")[1]
    return text.split("``detail``")[0].replace("``", "`")


@pytest.mark.django_db
def test_the_view_of_one_process() -> None:
    config = guide.run("shop/apps.py")["ShopConfig"]
    assert config.name == "shop"
    response = guide.run("shop/metrics.py")["metrics"](RequestFactory().get("/metrics"))
    assert response.headers["Content-Type"] == CONTENT_TYPE_LATEST
    assert response.content.startswith(b"# HELP ")
    assert b"python_info" in response.content
    assert "moloco_rmp" not in generate_latest(REGISTRY).decode()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_view_of_all_processes(tmp_path: Path) -> None:
    due(100)
    environment = {**children.environment(), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    outputs = [
        subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.metrics.shop", what],
            env=environment,
            cwd=children.ROOT,
            capture_output=True,
            text=True,
            timeout=children.PATIENCE,
            check=True,
        ).stdout
        for what in ("count", "count", "scrape")
    ]
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(outputs[-1])
        for sample in family.samples
    }
    assert samples["moloco_rmp_dropped_total", "SEARCH", "invalid"] == 2
    assert samples["moloco_rmp_post_seconds_count", "2xx", "default"] == 2
    assert samples["moloco_rmp_outbox_events", "default", "due"] == 1
    assert samples["moloco_rmp_database_up",] == 1


def test_the_settings_of_logging() -> None:
    config = guide.run("shop/settings.py")["LOGGING"]
    assert list(config["loggers"]) == ["django_moloco_rmp"]
    # Not dictConfig(), which would take the handlers of all other tests away.
    formatter = DictConfigurator(config).configure_formatter(config["formatters"]["events"])
    told = {"event_type": "ADD_TO_CART", "event_id": "cart-1", "status": 400}
    records = [
        {"levelname": "ERROR", "msg": "Event rejected: %s", "args": ("400 no",)} | told,
        {"levelname": "ERROR", "msg": "No shopper", "reason": "invalid"},
    ]
    assert [formatter.format(logging.makeLogRecord(each)) for each in records] == [
        "ERROR Event rejected: 400 no [ADD_TO_CART cart-1 400]",
        "ERROR No shopper [  ]",
    ]
