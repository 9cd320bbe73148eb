"""The names of the package itself, which are imported when they are first used."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import django_moloco_rmp
from django_moloco_rmp import events, exceptions, tracking

FOLDER = Path(django_moloco_rmp.__file__).parents[1]


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=FOLDER,
        env={"PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.mark.parametrize("name", django_moloco_rmp.__all__)
def test_each_is_the_one_of_its_module(name: str) -> None:
    homes = [module for module in (exceptions, events, tracking) if hasattr(module, name)]
    assert homes
    for module in homes:
        assert getattr(django_moloco_rmp, name) is getattr(module, name)
    assert name in dir(django_moloco_rmp)


def test_the_version_is_the_distributions() -> None:
    assert django_moloco_rmp.__version__ == version("django-moloco-rmp")
    assert "__version__" in dir(django_moloco_rmp)


def test_there_is_no_other() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tracks'"):
        django_moloco_rmp.tracks  # noqa: B018


@pytest.mark.slow
def test_an_import_costs_nothing_until_a_name_is_used() -> None:
    program = """
import sys
import django_moloco_rmp
print([name for name in ("django", "requests", "ua_parser", "asyncio") if name in sys.modules])
from django_moloco_rmp import NetworkError
print("django" in sys.modules)
from django_moloco_rmp import *
print(track.__module__)
"""
    assert run(program).split("\n") == ["[]", "False", "django_moloco_rmp.tracking"]
