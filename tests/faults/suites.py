"""Faults that whole test runs look for, each run as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.faults.bench import Bench, Outcome
from tests.processes.children import ROOT


def _run(bench: Bench, name: str, *arguments: str, **environment: str) -> str:
    """Run Python with a test database of that run's own; return what it prints."""
    own = {"PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "tests.settings", **environment}
    if "TEST_DATABASE_URL" in os.environ:
        own["TEST_DATABASE_URL"] = f"{os.environ['TEST_DATABASE_URL']}_{name}"
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | own,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def test_runner(bench: Bench) -> Outcome:
    """F23. Django's test runner drops its database, though tests emit with RELAY = "thread"."""
    said = _run(
        bench,
        "runner",
        *["-W", "error", "-m", "django", "test", "tests.faults.emitting_case", "--noinput"],
    )
    assert "OK" in said, said
    assert "being accessed" not in said, said
    return Outcome(0, 0, 0, 0, "its database was dropped, no thread was left")


def state_machine(bench: Bench) -> Outcome:
    """F24. The outbox against its model, in many more orders of steps than in everybody's tests."""
    said = _run(
        bench,
        "machine",
        # What the package has logged by then would leave no room for what went wrong.
        *["-m", "pytest", "-q", "--show-capture=no", "--create-db"],
        "tests/outbox/test_state_machine.py",
        HYPOTHESIS_PROFILE="faults",
    )
    assert "1 passed" in said, said
    return Outcome(0, 0, 0, 0, "500 orders of up to 50 steps")
