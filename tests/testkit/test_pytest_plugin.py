"""The pytest plugin, as pytest finds it: by the entry point of an installed distribution."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import django_moloco_rmp

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
FOLDER = Path(django_moloco_rmp.__file__).parents[1]

SETTINGS = """
SECRET_KEY = "not a secret"
INSTALLED_APPS = ["django_moloco_rmp"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
MOLOCO_RMP = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key", "RAISE_ERRORS": True}
"""
SHOP = """
import pytest
from django_moloco_rmp import track
from django_moloco_rmp.testing import assert_event

ADA = {"user_id": "a" * 64, "channel_type": "SITE"}

def test_without_a_database(moloco_events):
    track("HOME", page_id="HOME", shopper=ADA)
    assert_event(moloco_events, "HOME", page_id="HOME")

@pytest.mark.django_db
def test_with_a_database(moloco_events):
    assert moloco_events == []
    track("HOME", shopper=ADA)
    assert len(moloco_events) == 1

def test_that_fails(moloco_events):
    track("HOME", page_id="HOME", shopper=ADA)
    assert_event(moloco_events, "HOME", page_id="CART")
"""
NO_DJANGO = """
import sys

def test_nothing_is_loaded_that_needs_settings():
    from django.conf import settings
    assert not settings.configured
    assert "django_moloco_rmp.pytest_plugin" in sys.modules
    assert "django_moloco_rmp.models" not in sys.modules
    assert "django_moloco_rmp.testing" not in sys.modules
"""

pytestmark = pytest.mark.slow


def run_pytest(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a project's tests, with the package's entry points as pyproject.toml has them."""
    groups = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]
    lines = [f"{name} = {target}" for name, target in groups["pytest11"].items()]
    information = project / "moloco_rmp_plugin-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: moloco-rmp-plugin\nVersion: 1\n")
    (information / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    environment = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *options],
        cwd=project,
        env={**environment, "PYTHONPATH": os.pathsep.join(map(str, (project, FOLDER)))},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_fixture_is_at_hand_in_a_shop(tmp_path: Path) -> None:
    (tmp_path / "shop_settings.py").write_text(SETTINGS)
    (tmp_path / "test_shop.py").write_text(SHOP)
    run = run_pytest(tmp_path, "--ds", "shop_settings")
    assert "1 failed, 2 passed" in run.stdout, run.stdout + run.stderr
    # The message, and not the inside of assert_event.
    assert "E           expected: 'CART'" in run.stdout
    assert "assertions.py" not in run.stdout


def test_a_project_without_django_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(NO_DJANGO)
    run = run_pytest(tmp_path, "-p", "no:django")
    assert "1 passed" in run.stdout, run.stdout + run.stderr
