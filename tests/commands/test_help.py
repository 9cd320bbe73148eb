"""The help of each command: what a stranger reads first."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
from django.core.management import load_command_class

DOCUMENTS = Path(__file__).parents[2]
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


@pytest.mark.parametrize("document", ["README.md", "docs/operations.md"])
def test_the_documents_name_each_command_and_only_options_that_there_are(document: str) -> None:
    path = DOCUMENTS / document
    if not path.exists():
        pytest.skip("the documents are not part of what is tested here")
    text = path.read_text(encoding="utf-8")
    for name in NAMES:
        assert f"`moloco_{name}" in text
        known = set(parser(name)._option_string_actions)
        used = re.findall(rf"moloco_{name}((?: [^`|$\n]*)?)", text)
        assert {word for words in used for word in re.findall("--[a-z-]+", words)} <= known
