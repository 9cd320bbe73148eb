"""``moloco_resend``."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp.backlog import Backlog, Selection
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.sandbox import SandboxServer
from tests.commands.conftest import Reject
from tests.commands.run import run
from tests.outbox.relays import relay_to
from tests.outbox.samples import record, record_many, seconds_until_due

State = OutboxEvent.State
HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def pending(using: str = "default") -> set[str]:
    rows = OutboxEvent.objects.using(using).filter(state=State.PENDING)
    return set(rows.values_list("event_id", flat=True))


def test_a_rejected_event_is_sent_again_under_its_id(sandbox: SandboxServer) -> None:
    sandbox.fault({"status": 400})
    record("order-1")
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True).rejected == 1
    assert run("moloco_resend", "--all").out == "1 event made pending again.\n"
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True).delivered == 1
    assert [each["body"]["id"] for each in sandbox.events()] == ["order-1", "order-1"]


def test_a_dry_run_says_how_many_and_changes_nothing(reject: Reject) -> None:
    reject("a")
    reject("b")
    assert run("moloco_resend", "--all", "--dry-run").out == "2 events would be sent again.\n"
    assert pending() == set()


def test_where_nothing_was_rejected_there_is_nothing_to_explain() -> None:
    run("moloco_pause")
    ran = run("moloco_resend", "--all", "--rate", "10")
    assert (ran.out, ran.status) == ("0 events made pending again.\n", 0)


def test_it_is_as_new_but_for_its_attempts(reject: Reject) -> None:
    before = reject("a")
    run("moloco_resend", "--all")
    after = OutboxEvent.objects.get()
    assert (after.state, after.failures, after.server_errors) == (State.PENDING, 0, 0)
    assert (after.finished_at, after.lease_token) == (None, "")
    assert seconds_until_due(after) <= 0
    assert (after.attempts, after.payload, after.created_at) == (
        *(before.attempts, before.payload, before.created_at),
    )
    # What was wrong with it is not lost.
    assert (after.last_status, after.last_error) == (400, "resent; was: missing page_id")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--type", "PURCHASE"], {"purchase"}),
        (["--type", "PURCHASE", "--type", "ADD_TO_CART"], {"plain", "purchase", "old", "other"}),
        (["--status", "422"], {"other"}),
        (["--status", "422", "--status", "400"], {"plain", "purchase", "old", "other"}),
        (["--message", "PAGE_ID"], {"plain", "purchase", "old"}),
        (["--message", "100%"], {"other"}),
        (["--older-than", "2h"], {"old"}),
        (["--newer-than", "2h"], {"plain", "purchase", "other"}),
        (["--older-than", "2h", "--newer-than", "4h"], {"old"}),
        (["--older-than", "2h", "--newer-than", "3d", "--type", "PURCHASE"], set()),
        (["--event-id", "old", "--event-id", "plain"], {"plain", "old"}),
        (["--event-id", "delivered", "--event-id", "waiting"], set()),
        (["--all"], {"plain", "purchase", "old", "other"}),
    ],
)
def test_which_ones(reject: Reject, arguments: list[str], expected: set[str]) -> None:
    reject("plain")
    reject("purchase", event_type="PURCHASE")
    reject("old", created_at=DatabaseNow() - 3 * HOUR)
    reject("other", last_status=422, last_error="discount of 100%")
    reject("delivered", state=State.SENT)
    record("waiting")
    counted = run("moloco_resend", *arguments, "--dry-run", "--json").json
    assert counted == {"events": len(expected), "dry_run": True}
    assert pending() == {"waiting"}
    assert run("moloco_resend", *arguments, "--json").json["events"] == len(expected)
    assert pending() == {"waiting", *expected}


@pytest.mark.parametrize("arguments", [[], ["--all", "--status", "400"], ["--dry-run"]])
def test_one_has_to_say_which(reject: Reject, arguments: list[str]) -> None:
    reject("a")
    ran = run("moloco_resend", *arguments)
    assert ran.status == 1
    assert "Say which events, or --all" in ran.err
    assert pending() == set()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--older-than", value) for value in ("2", "h", "2y", "-1h", "1h30m", "123456s")),
        *(("--rate", value) for value in ("0", "-1", "x", "0.0", "1e3")),
        *(("--type", value) for value in ("CLICK", "purchase")),
    ],
)
def test_what_cannot_be_understood(option: str, value: str) -> None:
    ran = run("moloco_resend", f"{option}={value}", "--all")
    assert ran.status == 1
    assert f"argument {option}: " in ran.err


def test_a_rate_spreads_when_they_become_due(reject: Reject) -> None:
    for number in range(7):
        reject(str(number))
    ran = run("moloco_resend", "--all", "--rate", "2.5")
    assert "The last of them becomes due in 2 s." in ran.out
    rows = OutboxEvent.objects.order_by("available_at", "id")
    assert [row.event_id for row in rows] == list("0123456")
    start = rows[0].available_at
    waits = [(row.available_at - start).total_seconds() for row in rows]
    # Two at a time, which is 0.8 s apart; a slow database can only take longer.
    assert waits[0] < 0.8 <= waits[2] < waits[4] < waits[6]
    assert 2.4 <= waits[6] < 12


def test_many_go_in_batches_of_a_thousand_by_key() -> None:
    record_many(2_100, state=State.REJECTED, finished_at=DatabaseNow(), last_status=400)
    backlog = Backlog("default")
    keys = backlog.keys(["rejected"], Selection())
    with CaptureQueriesContext(connection) as queries:
        assert list(backlog.resend(keys)) == [1000, 1000, 100]
    # No transaction of the three as a whole.
    writes = [each for each in queries.captured_queries if each["sql"].startswith("UPDATE")]
    assert len(writes) == 3
    assert all("IN (" in each["sql"] for each in writes)


def test_what_became_of_an_event_meanwhile_is_left_alone(reject: Reject) -> None:
    reject("gone")
    reject("sent")
    backlog = Backlog("default")
    keys = backlog.keys(["rejected"], Selection())
    OutboxEvent.objects.filter(event_id="gone").delete()
    OutboxEvent.objects.filter(event_id="sent").update(state=State.SENT)
    assert sum(backlog.resend(keys)) == 0
    assert OutboxEvent.objects.get().state == State.SENT


def test_a_circuit_that_is_not_closed_is_mentioned(reject: Reject) -> None:
    reject("a")
    run("moloco_pause")
    assert "The circuit is paused, so they wait" in run("moloco_resend", "--all").out


def test_the_longest_message_fits(reject: Reject) -> None:
    reject("a", last_error="x" * 500)
    run("moloco_resend", "--all")
    error = OutboxEvent.objects.get().last_error
    assert (len(error), error[:14]) == (500, "resent; was: x")


def test_the_database_that_is_named(reject: Reject) -> None:
    reject("here")
    reject("there", using="other")
    run("moloco_resend", "--all", "--database", "other")
    assert (pending("default"), pending("other")) == (set(), {"there"})


def test_the_gate_is_not_touched(reject: Reject) -> None:
    Gate("default").look()
    reject("a")
    with CaptureQueriesContext(connection) as queries:
        run("moloco_resend", "--all")
    assert not [
        each["sql"]
        for each in queries.captured_queries
        if "moloco_rmp_gate" in each["sql"] and not each["sql"].startswith("SELECT")
    ]
