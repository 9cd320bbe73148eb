"""The commands as an operator and a machine run them: in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pytest

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.protocol import State
from django_moloco_rmp.sandbox import SandboxServer
from tests.outbox.samples import record, record_many
from tests.processes.children import environment, manage, relay, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.slow,
]


def test_a_monitor_sees_an_alarm() -> None:
    record("old")
    OutboxEvent.objects.update(created_at=DatabaseNow() - timedelta(hours=1))
    done = manage("moloco_status", "--fail-if-older", "600", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["pending"]["oldest_seconds"] >= 3600
    assert done.stderr.startswith("An event has waited for 1 h")
    assert "Traceback" not in done.stderr


def test_what_cannot_be_understood_is_status_2() -> None:
    done = manage("moloco_status", "--fail-if-older", "soon")
    assert done.returncode == 2
    assert "argument --fail-if-older: 'soon' is no whole number from 0 up" in done.stderr


def test_whoever_reads_an_export_may_leave_early() -> None:
    record_many(3_000)
    with subprocess.Popen(
        [sys.executable, "-m", "django", "moloco_export"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert json.loads(line)["state"] == "pending"
    assert (process.returncode, errors) == (0, "")


def test_a_relay_that_runs_heeds_pause_and_resume(sandbox: SandboxServer) -> None:
    with relay(BASE_URL=sandbox.url) as process:
        record("a")
        wait_until(lambda: len(sandbox.events()) == 1)
        assert manage("moloco_pause").returncode == 0
        record("b")
        # A look at the gate after the pause leaves a sign.
        paused_at = Gate("default").look().circuit.changed_at
        wait_until(lambda: Gate("default").noted()["relay_seen_at"] > paused_at)
        assert Gate("default").look().circuit.state is State.PAUSED
        assert len(sandbox.events()) == 1
        assert manage("moloco_resume").returncode == 0
        wait_until(lambda: len(sandbox.events()) == 2)
        process.terminate()
        process.communicate(timeout=30)
