from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import TransactionTestCase
from hypothesis import HealthCheck, settings

from django_moloco_rmp.sandbox import SandboxServer
from tests import with_service

# Deadlines measure the machine, not the code: a loaded one would fail at random.
# Few examples while somebody waits for them, more in CI; "faults" is for the long form of the fault
# tests, "thorough" for a night.
settings.register_profile("default", deadline=None, max_examples=25)
settings.register_profile(
    "ci",
    deadline=None,
    max_examples=30,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("faults", deadline=None, max_examples=1500)
settings.register_profile("thorough", deadline=None, max_examples=5000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default")
)

HERE = Path(__file__).parent
#: Where tox looks for the tests that have an environment or a run of their own.
FOLDERS = {
    "browser": (HERE / "e2e", HERE / "sandbox"),
    "docs": (HERE / "docs",),
    "faults": (HERE / "faults",),
    "hosts": (HERE / "hosts",),
    "servers": (HERE / "processes" / "servers",),
}


def pytest_itemcollected(item: pytest.Item) -> None:
    """
    Mark the tests that meet a database; pytest-django forbids it to all the others.

    :raises UsageError: it is where tox would never run it
    """
    for marker, folders in FOLDERS.items():
        if item.get_closest_marker(marker) and not set(folders) & set(item.path.parents):
            raise pytest.UsageError(f"{item.nodeid}: tox does not look here for {marker}")
    case = getattr(item, "cls", None)
    if (
        item.get_closest_marker("django_db") is not None
        or not {"db", "transactional_db"}.isdisjoint(getattr(item, "fixturenames", ()))
        or (case is not None and issubclass(case, TransactionTestCase))
    ):
        item.add_marker("database")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, for tests that drive one."""
    try:
        return with_service.chromium()["CHROMIUM"]
    except with_service.MissingServiceError as error:
        pytest.skip(str(error))


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """The vendor's server, played by the sandbox on a free loopback port."""
    with SandboxServer() as server:
        yield server
