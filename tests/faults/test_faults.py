"""The short form of each fault, on the database of the test run; the long one has a door itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.faults.bench import Bench, Scale
from tests.faults.processes import Workers
from tests.faults.registry import FAULTS, Fault

SHORT = [fault for fault in FAULTS if not fault.is_long_only]


@pytest.fixture(scope="module")
def workers(django_db_setup: None) -> Iterator[Workers]:
    with Workers() as running:
        yield running


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@pytest.mark.parametrize("fault", SHORT, ids=[fault.key for fault in SHORT])
def test_nothing_is_lost(fault: Fault, workers: Workers) -> None:
    bench = Bench(connection.vendor, Scale(is_long=False), workers)
    bench.clear()
    outcome = fault.run(bench)
    assert outcome.lost == 0
