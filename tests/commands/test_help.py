"""The help of each command: what a stranger reads first."""

from __future__ import annotations

import argparse

import pytest
from django.core.management import load_command_class

NAMES = (*("status", "ping", "pause", "resume", "resend", "export", "prune", "forget", "relay"),)
DJANGO = {
    *("help", "version", "verbosity", "settings", "pythonpath", "traceback"),
    *("no_color", "force_color", "skip_checks"),
}


def parser(name: str) -> argparse.ArgumentParser:
    command = f"moloco_{name}"
    return load_command_class("django_moloco_rmp", command).create_parser("manage.py", command)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_examples_and_says_what_the_exit_status_means(name: str) -> None:
    text = parser(name).format_help()
    assert f"\n  manage.py moloco_{name}" in text
    assert "\nexit status: 0" in text


@pytest.mark.parametrize("name", NAMES)
def test_lines_fit_a_terminal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "82")
    assert max(map(len, parser(name).format_help().splitlines())) <= 82


@pytest.mark.parametrize("name", NAMES)
def test_each_option_is_explained_and_its_value_named(name: str) -> None:
    for action in parser(name)._actions:
        if action.dest in DJANGO:
            continue
        assert action.help
        if action.nargs != 0 and not action.choices:
            assert action.metavar, action.dest
            assert action.metavar != action.dest.upper() or action.dest == "user_id"
