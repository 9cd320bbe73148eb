"""``manage.py moloco_relay`` as an operator runs it."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.sandbox import SandboxServer
from tests.outbox.samples import record, record_many
from tests.processes.children import PATIENCE, manage, relay, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.slow,
]


def arrived(sandbox: SandboxServer) -> list[str]:
    return [each["body"]["id"] for each in sandbox.events()]


def test_it_sends_what_is_due_and_ends(sandbox: SandboxServer) -> None:
    sent = record_many(20)
    done = manage("moloco_relay", "--until-empty", BASE_URL=sandbox.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "delivered 20, to be tried again 0, rejected 0, handed back 0; 0 pending\n"
    )
    assert sorted(arrived(sandbox)) == sorted(sent)


def test_it_ends_after_so_many_events(sandbox: SandboxServer) -> None:
    record_many(5)
    done = manage("moloco_relay", "--max-events", "3", BASE_URL=sandbox.url)
    assert "delivered 3," in done.stdout
    assert OutboxEvent.objects.count() == len(sandbox.events()) - 1 == 2


def test_it_serves_the_database_it_is_told_to(sandbox: SandboxServer) -> None:
    record("here")
    record("there", using="other")
    manage("moloco_relay", "--until-empty", "--database", "other", BASE_URL=sandbox.url)
    assert arrived(sandbox) == ["there"]


@pytest.mark.parametrize(
    ("arguments", "settings", "text"),
    [
        (["--max-events", "0"], {}, "CommandError: --max-events takes a number from 1 up."),
        (["--until-empty"], {"ENABLED": False}, "MOLOCO_RMP['ENABLED'] is False: nothing is sent."),
        (
            ["--until-empty"],
            {"PLATFORM_ID": "a/b"},
            "(moloco_rmp.E005) MOLOCO_RMP gives no address",
        ),
        (["--database", "elsewhere"], {}, "invalid choice: 'elsewhere'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], settings: dict[str, Any], text: str
) -> None:
    done = manage("moloco_relay", *arguments, **settings)
    assert done.returncode in {1, 2}
    assert text in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_what_is_being_sent_and_hands_back_the_rest(
    sandbox: SandboxServer, number: signal.Signals
) -> None:
    sent = record_many(50)
    sandbox.fault({"delay": 1.0, "count": 100})
    with relay(BASE_URL=sandbox.url) as process:
        assert sandbox.wait_for(8, PATIENCE)
        assert OutboxEvent.objects.exclude(lease_token="").count() == 50
        started = time.monotonic()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stderr) == (0, "")
    # The second that the posts take, and not the twenty that it would have waited for them.
    assert time.monotonic() - started < 10
    left = OutboxEvent.objects.filter(available_at__lte=DatabaseNow(), lease_token="")
    # Nothing is in limbo, and what was not sent counts as not attempted.
    assert left.count() == OutboxEvent.objects.count() == 50 - len(sandbox.events())
    assert set(left.values_list("attempts", flat=True)) == {0}
    assert f"delivered {len(sandbox.events())}," in stdout
    sandbox.clear_faults()
    manage("moloco_relay", "--until-empty", BASE_URL=sandbox.url)
    assert sorted(arrived(sandbox)) == sorted(sent)


def test_a_second_signal_ends_it_at_once(sandbox: SandboxServer) -> None:
    sandbox.fault({"delay": 20})
    record("slow")
    with relay(BASE_URL=sandbox.url) as process:
        wait_until(lambda: OutboxEvent.objects.exclude(lease_token="").exists())
        process.send_signal(signal.SIGTERM)
        # The handler of the first has run when the second finds the default one in its place.
        wait_until(lambda: process.send_signal(signal.SIGTERM) or process.poll() is not None)
    assert process.returncode == -signal.SIGTERM
