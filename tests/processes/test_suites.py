"""A shop's own test runs: the test database can be dropped at their end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connections

from tests.processes.children import PATIENCE, ROOT, environment

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.slow,
]

TESTS = "tests/processes/suite/shop_tests.py"
SETTINGS = "tests.processes.suite.settings"
DJANGO = ["django", "test", "tests.processes.suite", "--pattern", "shop_tests.py", "--noinput"]
PYTEST = ["pytest", TESTS, "-p", "no:cacheprovider", "--create-db"]


def is_there(name: str) -> bool:
    """Whether there is a database of that name."""
    connection = connections["default"]
    queries = {
        "postgresql": "SELECT 1 FROM pg_database WHERE datname = %s",
        "mysql": "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s",
    }
    if connection.vendor == "sqlite":
        return Path(name).exists()
    with connection.cursor() as cursor:
        cursor.execute(queries[connection.vendor], [name])
        return cursor.fetchone() is not None


@pytest.mark.parametrize("command", [DJANGO, PYTEST], ids=["django", "pytest"])
def test_a_run_leaves_no_thread_and_no_database(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env=environment(BASE_URL="http://127.0.0.1:9") | {"DJANGO_SETTINGS_MODULE": SETTINGS},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "Ran 2 tests" in output or "2 passed" in output
    assert "being accessed" not in output
    assert not is_there(f"{connections['default'].settings_dict['NAME']}_suite")
