"""The short form of each fault, on the database of the test run; the long one has a door itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.db import connection

from tests.faults.bench import Bench, Scale
from tests.faults.processes import ROOT, Workers
from tests.faults.registry import FAULTS, Fault

SHORT = [fault for fault in FAULTS if not fault.is_long_only]


@pytest.fixture(scope="module")
def workers(django_db_setup: None) -> Iterator[Workers]:
    with Workers() as running:
        yield running


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", SHORT, ids=[fault.key for fault in SHORT])
def test_nothing_is_lost(fault: Fault, workers: Workers) -> None:
    bench = Bench(connection.vendor, Scale(is_long=False), workers)
    bench.clear()
    outcome = fault.run(bench)
    assert outcome.lost == 0


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="once is enough")
def test_the_door_of_the_long_form_opens() -> None:
    arguments = ["--short", "--database", "sqlite", "--only", "F7"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    row = "| F7 eight in flight fail at once | sqlite | 20 | 20 | 0 | 0 |"
    assert [line for line in done.stdout.splitlines() if line.startswith(row)], done.stdout
