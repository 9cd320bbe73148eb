"""``manage.py moloco_sandbox``."""

from __future__ import annotations

import argparse
import signal
from typing import Any

import pytest
from django.core.management import call_command

from django_moloco_rmp.management.commands.moloco_sandbox import Command
from django_moloco_rmp.sandbox import SandboxServer
from tests.sandbox.terminal import Terminal


def parser() -> argparse.ArgumentParser:
    return Command().create_parser("manage.py", "moloco_sandbox")


@pytest.fixture
def no_settings(settings: Any) -> None:
    del settings.MOLOCO_RMP


def test_it_runs_until_a_signal(settings: Any) -> None:
    settings.MOLOCO_RMP = {"PLATFORM_ID": "LAMPS"}
    stdout = Terminal(signal.SIGTERM)
    call_command("moloco_sandbox", port=0, stdout=stdout)
    assert " for platform LAMPS\n" in stdout.getvalue()
    assert stdout.getvalue().endswith("Sandbox ended\n")


def test_a_port_in_use(sandbox: SandboxServer, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("moloco_sandbox", port=int(sandbox.url.rsplit(":", 1)[1]))
    assert ended.value.code == 1
    assert "Choose another with --port." in capsys.readouterr().err


def test_platform_and_key_are_those_of_the_settings(settings: Any) -> None:
    settings.MOLOCO_RMP = {"PLATFORM_ID": "LAMPS", "API_KEY": "k"}
    options = parser().parse_args([])
    assert (options.platform_id, options.api_key) == ("LAMPS", "k")


def test_of_several_destinations_they_are_those_of_the_first(settings: Any) -> None:
    entries = {"de": {"PLATFORM_ID": "LAMPS_DE", "API_KEY": "k"}, "fr": {}}
    settings.MOLOCO_RMP = {"DESTINATIONS": entries}
    options = parser().parse_args([])
    assert (options.platform_id, options.api_key) == ("LAMPS_DE", "k")


@pytest.mark.parametrize(
    "value",
    [
        *(None, "x", {}, {"PLATFORM_ID": "", "API_KEY": 1, "?": 2}),
        *({"DESTINATIONS": {}}, {"DESTINATIONS": {"de": None}}, {"DESTINATIONS": "de"}),
    ],
)
def test_settings_that_are_no_help(settings: Any, value: Any) -> None:
    settings.MOLOCO_RMP = value
    options = parser().parse_args([])
    assert (options.platform_id, options.api_key) == ("SHOP_TEST", "test-key")


@pytest.mark.usefixtures("no_settings")
def test_no_settings() -> None:
    assert parser().parse_args([]).platform_id == "SHOP_TEST"


def test_its_help(settings: Any) -> None:
    settings.MOLOCO_RMP = {"PLATFORM_ID": "LAMPS 100 %", "API_KEY": "very-secret"}
    text = parser().format_help()
    assert "A stand-in for Moloco's User Event API" in text
    assert "(default: LAMPS 100 %)" in text
    assert "very-secret" not in text
    # Django's own options come last.
    assert text.index("--max-qps N") < text.index("--settings")


def test_it_checks_nothing() -> None:
    assert Command.requires_system_checks == ()
