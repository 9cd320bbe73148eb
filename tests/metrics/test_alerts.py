"""The alerts of the docs, by Prometheus' own promtool: silent in health, loud in trouble."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.metrics import guide
from tests.metrics.samples import due

if not guide.GUIDE.exists():
    pytest.skip("the guide is not part of what is tested here", allow_module_level=True)


def counted(event_type: str, outcome: str) -> str:
    labels = f'destination="default",event_type="{event_type}",outcome="{outcome}"'
    return f"moloco_rmp_events_total{{{labels}}}"


#: Series by the minute, for four hours, of a shop that is well.
LENGTH = 240
HEALTHY = {
    "moloco_rmp_database_up": "1+0",
    'moloco_rmp_oldest_due_seconds{destination="default"}': "2+0",
    'moloco_rmp_circuit_reason{destination="default",reason="configuration"}': "0+0",
    'moloco_rmp_circuit_reason{destination="default",reason="rejections"}': "0+0",
    'moloco_rmp_circuit_reason{destination="default",reason="server"}': "0+0",
    'moloco_rmp_circuit_state{destination="default",state="closed"}': "1+0",
    'moloco_rmp_circuit_state{destination="default",state="open"}': "0+0",
    'moloco_rmp_circuit_state{destination="default",state="paused"}': "0+0",
    'moloco_rmp_relay_silence_seconds{destination="default"}': "5+0",
    'moloco_rmp_outbox_events{destination="default",state="due"}': "3+0",
    counted("HOME", "delivered"): "0+9",
    counted("HOME", "rejected"): "0+0",
    'moloco_rmp_dropped_total{event_type="HOME",reason="bot"}': "0+5",
    'moloco_rmp_dropped_total{event_type="HOME",reason="invalid"}': "0+0",
    'moloco_rmp_post_seconds_bucket{destination="default",status="2xx",le="0.5"}': "0+9",
    'moloco_rmp_post_seconds_bucket{destination="default",status="2xx",le="5.0"}': "0+9",
    'moloco_rmp_post_seconds_bucket{destination="default",status="2xx",le="10.0"}': "0+9",
    'moloco_rmp_post_seconds_bucket{destination="default",status="2xx",le="+Inf"}': "0+9",
}
HERE = {"destination": "default"}
#: What is otherwise in each trouble, a minute at which it is not told yet and one at which it is,
#: and with which labels.
TROUBLES: dict[str, tuple[dict[str, str], int | None, int, dict[str, str]]] = {
    "MolocoEventsWait": (
        {'moloco_rmp_oldest_due_seconds{destination="default"}': "0+60"},
        20,
        21,
        HERE,
    ),
    "MolocoRefusesOurSettings": (
        {'moloco_rmp_circuit_reason{destination="default",reason="configuration"}': "1+0"},
        None,
        0,
        HERE,
    ),
    "MolocoRefusesAllEvents": (
        {'moloco_rmp_circuit_reason{destination="default",reason="rejections"}': "1+0"},
        None,
        0,
        HERE,
    ),
    "MolocoStopped": (
        {'moloco_rmp_circuit_state{destination="default",state="paused"}': "1+0"},
        29,
        30,
        HERE,
    ),
    "MolocoNoRelay": (
        {'moloco_rmp_relay_silence_seconds{destination="default"}': "0+60"},
        7,
        8,
        HERE,
    ),
    "MolocoRejections": (
        {counted("HOME", "rejected"): "0+1"},
        0,
        1,
        {**HERE, "event_type": "HOME"},
    ),
    "MolocoNothingDelivered": (
        {counted("HOME", "delivered"): "0+9x60 540+0"},
        60 + 118,
        60 + 121,
        HERE,
    ),
    "MolocoDrops": (
        {'moloco_rmp_dropped_total{event_type="HOME",reason="invalid"}': "0+1"},
        0,
        1,
        {"reason": "invalid"},
    ),
    "MolocoSlow": (
        {
            'moloco_rmp_post_seconds_bucket{destination="default",status="2xx",le="0.5"}': "0+0",
            'moloco_rmp_post_seconds_bucket{destination="default",status="2xx",le="5.0"}': "0+0",
        },
        15,
        16,
        HERE,
    ),
    "MolocoBlind": ({"moloco_rmp_database_up": "0+0"}, 4, 5, {}),
}


@pytest.fixture(scope="module")
def promtool() -> str:
    """The path of Prometheus' tool. CI has to have it, or a green run would say too much."""
    path = shutil.which("promtool")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no promtool on PATH")
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The alerts as a file."""
    (text,) = guide.blocks("yaml")
    file = tmp_path / "alerts.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def run(promtool: str, *arguments: str | Path, stdin: str = "") -> None:
    done = subprocess.run(
        [promtool, *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried() -> None:
    (text,) = guide.blocks("yaml")
    assert re.findall("- alert: (.+)", text) == list(TROUBLES)


def test_the_alerts_are_valid(promtool: str, rules: Path) -> None:
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", rules)


@pytest.mark.django_db
def test_the_metrics_follow_the_conventions(promtool: str, registry: CollectorRegistry) -> None:
    due(100)
    run(promtool, "check", "metrics", stdin=generate_latest(registry).decode())


def scenario(summaries: dict[str, str], trouble: str = "") -> dict[str, Any]:
    """A test in promtool's own form: the shop in one trouble or in none, and what is told."""
    changes, quiet, loud, labels = TROUBLES.get(trouble, ({}, None, LENGTH, {}))
    alert = {"exp_labels": labels, "exp_annotations": {"summary": summaries.get(trouble, "")}}
    told = [(name, LENGTH, []) for name in summaries if name != trouble]
    if trouble:
        told.append((trouble, loud, [alert]))
    if quiet is not None:
        told.append((trouble, quiet, []))
    return {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": f"{values}x{LENGTH}"}
            for name, values in (HEALTHY | changes).items()
        ],
        "alert_rule_test": [
            {"alertname": name, "eval_time": f"{minutes}m", "exp_alerts": alerts}
            for name, minutes, alerts in told
        ],
    }


def test_each_alert_is_told_in_its_trouble_and_no_other(promtool: str, rules: Path) -> None:
    text = rules.read_text(encoding="utf-8")
    summaries = dict(re.findall(r'- alert: (\w+).*?summary: "(.+?)"\}', text, re.S))
    tests = [scenario(summaries), *(scenario(summaries, trouble) for trouble in TROUBLES)]
    file = rules.with_name("tests.json")
    content = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(json.dumps(content), encoding="utf-8")
    run(promtool, "test", "rules", file)
