"""``moloco_status``."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from django_moloco_rmp import Money
from django_moloco_rmp.backlog import Backlog, Count
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.protocol import SECOND
from django_moloco_rmp.sandbox import SandboxServer
from tests.commands.conftest import Reject
from tests.commands.run import rows, run
from tests.outbox.relays import relay_to
from tests.outbox.samples import MINUTE, event, record, record_many, without_table

State = OutboxEvent.State
HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def status() -> dict[str, str]:
    return rows(run("moloco_status").out)


def change(decide: Callable[[Held], object]) -> None:
    """Change the gate, as a relay that is alive does."""

    def seen(held: Held) -> None:
        held.notes["relay_seen_at"] = held.now
        decide(held)

    Gate("default").change(seen)


def fail(held: Held) -> None:
    held.circuit = held.circuit.failed(held.now, held.circuit.generation, 0.0)


def misconfigure(held: Held) -> None:
    held.circuit = held.circuit.misconfigured(held.now, held.circuit.generation, 0.0)


def pause(held: Held) -> None:
    held.circuit = held.circuit.pausing(held.now)


def measure(held: Held) -> None:
    """As if 2.5 calls a second had been permitted."""
    held.pace = type(held.pace)(window_at=held.now, window_rate=2_500)


def nothing(held: Held) -> None:
    """Only be seen."""


def test_a_shop_that_has_not_begun() -> None:
    told = status()
    assert told["pending"] == "0"
    assert told["oldest"] == "-"
    assert told["circuit"] == "closed"
    assert told["relay"] == "never seen: none runs, it seems; start moloco_relay"
    assert told["drained"] == "nothing waits"
    assert told["last success"] == told["last error"] == "never"


def test_the_backlog_by_state_and_type(reject: Reject) -> None:
    record("a", "b", "c", "d")
    purchase = event("p", event_type="PURCHASE", revenue=Money(1, "EUR"))
    Outbox("default").record(purchase, keeps_id=True)
    ahead = DatabaseNow() + MINUTE
    OutboxEvent.objects.filter(event_id="b").update(available_at=ahead, lease_token="x")
    OutboxEvent.objects.filter(event_id="c").update(available_at=ahead)
    reject("r")
    reject("s", state=State.SENT)
    lines = run("moloco_status").out.splitlines()
    assert lines[:6] == [
        "Outbox of database 'default'",
        "  pending       5 (ADD_TO_CART 4, PURCHASE 1)",
        "                3 due, 1 in flight, 1 for later",
        "  oldest        waits for 0 s",
        "  rejected      1 (ADD_TO_CART 1)",
        "  delivered ids 1 kept, to tell repeats",
    ]
    told = run("moloco_status", "--json").json
    assert told["pending"]["types"] == {"ADD_TO_CART": 4, "PURCHASE": 1}
    assert [told["pending"][name]["number"] for name in ("due", "in_flight", "for_later")] == [
        *(3, 1, 1)
    ]
    assert told["rejected"]["number"] == told["delivered_ids"]["number"] == 1


def test_what_would_take_long_to_count_is_not_counted() -> None:
    record_many(12)
    summary = Backlog("default", most_counted=10, most_looked_at=5).summary()
    assert summary.pending.count == summary.due == Count(10, is_more=True)
    assert str(summary.due) == "more than 10"
    assert summary.pending.types == {"ADD_TO_CART": 5}
    assert summary.pending.is_sample
    exact = Backlog("default", most_counted=12, most_looked_at=12).summary()
    assert str(exact.pending.count) == "12"
    assert not exact.pending.is_sample


def test_what_a_relay_did(sandbox: SandboxServer) -> None:
    sandbox.fault({"status": 400, "body": '{"message": "missing page_id"}', "count": 1})
    record("a", "b", "c")
    with relay_to(sandbox.url, concurrency=1) as relay:
        relay.run(until_empty=True)
    told = run("moloco_status", "--json").json
    assert told["totals"] == {"delivered": 2, "rejected": 1, "retried": 0, "dropped": 0}
    assert told["last_error"]["status"] == 400
    assert told["last_error"]["message"] == "missing page_id"
    assert 0 <= told["last_error"]["seconds_ago"] < 60
    assert told["relay_seen_seconds_ago"] < 60
    assert told["last_success_seconds_ago"] < 60
    assert "HTTP 400, missing page_id" in status()["last error"]


def test_a_success_is_told_where_nothing_ever_failed(sandbox: SandboxServer) -> None:
    record("a")
    with relay_to(sandbox.url) as relay:
        relay.run(until_empty=True)
    told = status()
    assert re.fullmatch(r"\d+ s ago", told["last success"])
    assert told["last error"] == "never"


@pytest.mark.parametrize(
    ("decide", "circuit", "drained"),
    [
        (nothing, "closed", "not known: nothing was sent in the last seconds"),
        (measure, "closed", "in about 2 s, at this rate"),
        (
            pause,
            r"paused for \d+ s, by an operator: go on with moloco_resume",
            "never, while it is paused",
        ),
        (
            fail,
            r"backoff for \d+ s; Moloco's server fails, or is not reached; 1 failure in a row; "
            r"next try (now|in \d+ s)",
            "not before Moloco accepts an event again",
        ),
        (
            misconfigure,
            r"open for \d+ s; Moloco accepts nothing until a setting is repaired: see moloco_ping; "
            r"6 failures in a row; next try in 14 min \d+ s",
            "not before Moloco accepts an event again",
        ),
    ],
)
def test_why_nothing_is_sent_and_when_it_will_be(
    decide: Callable[[Held], None], circuit: str, drained: str
) -> None:
    record("a", "b", "c", "d", "e")
    change(decide)
    told = status()
    assert re.fullmatch(circuit, told["circuit"])
    assert told["drained"] == drained


def test_a_backlog_without_a_relay_is_never_drained() -> None:
    record("a")

    def long_ago(held: Held) -> None:
        measure(held)
        held.notes["relay_seen_at"] = held.now - 600 * SECOND

    Gate("default").change(long_ago)
    told = status()
    assert told["relay"].startswith("last seen 10 min")
    assert told["drained"] == "never, while no relay runs"


def test_throttled_shoppers_are_counted_and_not_named() -> None:
    marks = [name * 32 for name in "ab"]

    def throttle(held: Held) -> None:
        for mark in marks:
            held.pace, _ = held.pace.throttle(held.now, held.now, mark, 60 * SECOND, 0.0, None)

    change(throttle)
    ran, as_json = run("moloco_status"), run("moloco_status", "--json")
    assert "2 identifiers throttled by Moloco" in ran.out
    assert as_json.json["throttled_identifiers"] == 2
    for mark in marks:
        assert mark[:8] not in ran.out + as_json.out


def test_a_rate_that_was_adapted() -> None:
    def throttle(held: Held) -> None:
        for mark in "abc":
            held.pace, _ = held.pace.throttle(held.now, held.now, mark, None, 0.0, 30)

    change(throttle)
    assert "limited to 15.0, as Moloco asked for fewer" in status()["rate"]


def test_an_event_that_waits_for_too_long_is_an_alarm() -> None:
    record("old", "new")
    OutboxEvent.objects.filter(event_id="old").update(created_at=DatabaseNow() - HOUR)
    assert run("moloco_status", "--fail-if-older", "3700").status == 0
    ran = run("moloco_status", "--fail-if-older", "3500")
    assert ran.status == 1
    assert ran.err.startswith("An event has waited for 1 h")
    assert "never seen: none runs, it seems" in ran.err
    # For the monitor's log.
    assert "pending" in ran.out


@pytest.mark.parametrize("is_due", [True, False])
def test_an_old_event_counts_whether_due_or_waiting_after_a_failure(is_due: bool) -> None:
    record("old")
    OutboxEvent.objects.update(
        created_at=DatabaseNow() - HOUR,
        available_at=DatabaseNow() + (-MINUTE if is_due else MINUTE),
        last_error="ConnectionError",
    )
    assert run("moloco_status", "--fail-if-older", "600").status == 1


def test_the_alarm_says_what_is_wrong() -> None:
    record("old")
    OutboxEvent.objects.update(created_at=DatabaseNow() - HOUR)
    change(pause)
    assert "The circuit is paused" in run("moloco_status", "--fail-if-older", "600").err


def test_the_alarm_of_a_relay_that_is_too_slow_says_how_slow() -> None:
    record("old")
    OutboxEvent.objects.update(created_at=DatabaseNow() - HOUR)
    change(measure)
    alarm = run("moloco_status", "--fail-if-older", "600").err
    assert re.search(r"The circuit is closed; \d\.\d calls a second; drained in about 0 s", alarm)


def test_what_no_longer_waits_is_no_alarm(reject: Reject) -> None:
    old = DatabaseNow() - HOUR
    reject("refused", created_at=old)
    reject("delivered", created_at=old, state=State.SENT)
    assert run("moloco_status", "--fail-if-older", "60").status == 0


def test_a_resent_event_is_as_old_as_its_second_chance(reject: Reject) -> None:
    reject("resent", created_at=DatabaseNow() - HOUR)
    run("moloco_resend", "--all")
    assert run("moloco_status", "--fail-if-older", "600").status == 0
    OutboxEvent.objects.update(available_at=DatabaseNow() - HOUR)
    assert run("moloco_status", "--fail-if-older", "600").status == 1
    OutboxEvent.objects.update(available_at=DatabaseNow() + HOUR)
    assert run("moloco_status", "--fail-if-older", "600").status == 0


def test_settings_at_fault_are_told_and_no_hindrance(settings: Any) -> None:
    settings.MOLOCO_RMP = {"PLATFORM_ID": "SHOP_TEST", "TIMEOOUT": 1}
    ran = run("moloco_status")
    assert ran.status == 0
    assert "Setting at fault: MOLOCO_RMP['API_KEY'] is required." in ran.out
    assert any(
        "TIMEOOUT" in each for each in run("moloco_status", "--json").json["settings_at_fault"]
    )


def test_a_database_that_cannot_tell() -> None:
    with without_table():
        ran = run("moloco_status")
    assert ran.status == 1
    assert ran.err.startswith("Database 'default': ")
    assert ran.err.endswith("Is it up, and has `manage.py migrate` been run?\n")


def test_the_database_that_is_named() -> None:
    record("there", using="other")
    assert status()["pending"] == "0"
    assert "1 (ADD_TO_CART 1)" in run("moloco_status", "--database", "other").out
