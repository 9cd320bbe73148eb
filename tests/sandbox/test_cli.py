from __future__ import annotations

import argparse
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

import django_moloco_rmp.sandbox
from django_moloco_rmp.sandbox import SandboxServer
from django_moloco_rmp.sandbox.cli import add_arguments, run
from tests.sandbox.terminal import Terminal

#: Where the package under test is imported from, be it a checkout or an installation.
ROOT = Path(django_moloco_rmp.sandbox.__file__).parents[2]


def options(*arguments: str, **defaults: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser, **defaults)
    return parser.parse_args(arguments)


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "django_moloco_rmp.sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as started:
        try:
            yield started
        finally:
            # Only one that failed to end by itself is still there.
            started.kill()


#: An interpreter without any package but ours.
ALONE = """
import runpy, sys

class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "django_moloco_rmp"}:
            raise ModuleNotFoundError(f"{name} is not installed")

sys.path.insert(0, sys.argv.pop(1))
sys.meta_path.insert(0, Bare())
runpy.run_module("django_moloco_rmp.sandbox", run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
def test_it_needs_nothing_but_python() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", ALONE, str(ROOT), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m django_moloco_rmp.sandbox")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    with process("--port", "0", "--platform-id", "LAMPS", "--api-key", "k") as started:
        assert started.stdout is not None
        ready = started.stdout.readline()
        url = ready.split()[3]
        assert ready == f"Sandbox ready at {url} for platform LAMPS\n"
        response = requests.post(
            f"{url}rmp/event/v1/platforms/LAMPS/userevents",
            json={},
            headers={"X-API-Key": "k"},
            timeout=10,
        )
        assert response.status_code == 400
        started.send_signal(number)
        output, errors = started.communicate(timeout=30)
    assert started.returncode == 0
    assert output.endswith("Sandbox ended\n")
    assert errors == ""


@pytest.mark.slow
def test_a_process_has_help() -> None:
    with process("--help") as started:
        output, _ = started.communicate(timeout=30)
    assert started.returncode == 0
    assert "A stand-in for Moloco's User Event API" in output
    assert "(default: 8010)" in output


@pytest.mark.slow
def test_a_process_listens_on_loopback_only() -> None:
    with process("--host", "0.0.0.0") as started:
        _, errors = started.communicate(timeout=30)
    assert started.returncode == 2
    assert "0.0.0.0: the sandbox listens on loopback only" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_a_signal(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    stdout = Terminal(number)
    assert run(options("--port", "0"), stdout=stdout, stderr=io.StringIO()) == 0
    assert stdout.getvalue().endswith("Sandbox ended\n")
    assert signal.getsignal(number) is before


def test_it_does_not_end_by_itself() -> None:
    """A second goes by in which nothing happens, then a signal comes."""
    main = threading.main_thread().ident
    assert main is not None
    stdout = io.StringIO()
    timer = threading.Timer(1.2, signal.pthread_kill, (main, signal.SIGTERM))
    timer.start()
    assert run(options("--port", "0"), stdout=stdout, stderr=io.StringIO()) == 0
    timer.join()


def test_a_port_in_use(sandbox: SandboxServer) -> None:
    port = sandbox.url.rsplit(":", 1)[1]
    stderr = io.StringIO()
    assert run(options("--port", port), stdout=io.StringIO(), stderr=stderr) == 1
    assert stderr.getvalue() == (
        f"Cannot listen on 127.0.0.1 port {port}: Address already in use."
        " Choose another with --port.\n"
    )


def test_the_key_is_not_printed() -> None:
    stdout = Terminal(signal.SIGTERM)
    run(options("--port", "0", api_key="very-secret"), stdout=stdout, stderr=io.StringIO())
    assert "very-secret" not in stdout.getvalue()


def test_the_key_of_the_settings_is_not_in_the_help() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, api_key="very-secret")
    text = " ".join(parser.format_help().split())
    assert "very-secret" not in text
    assert "(default: API_KEY of the settings)" in text


def test_options_without_arguments() -> None:
    assert vars(options()) == {
        "host": "127.0.0.1",
        "port": 8010,
        "platform_id": "SHOP_TEST",
        "api_key": "test-key",
        "max_qps": None,
        "strict": False,
    }


def test_a_quota() -> None:
    assert options("--max-qps", "30").max_qps == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "-1"], "must be a number from 0 to 65535"),
        (["--port", "65536"], "must be a number from 0 to 65535"),
        (["--port", "http"], "must be a number from 0 to 65535"),
        (["--port", "\u0661"], "must be a number from 0 to 65535"),
        (["--max-qps", "0"], "must be a whole number from 1"),
        (["--max-qps", "many"], "must be a whole number from 1"),
        (["--max-qps", "²"], "must be a whole number from 1"),
        (["--host", "192.0.2.1"], "the sandbox listens on loopback only"),
    ],
)
def test_a_bad_option(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options(*arguments)
    assert message in capsys.readouterr().err
