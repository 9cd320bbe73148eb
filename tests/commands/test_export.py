"""``moloco_export``."""

from __future__ import annotations

import json
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from django_moloco_rmp import Money
from django_moloco_rmp.backlog import Backlog, Selection
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox
from tests.commands.conftest import Reject
from tests.commands.run import run
from tests.outbox.samples import event, record, record_many

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_is_an_event(reject: Reject) -> None:
    row = reject("a")
    (line,) = lines(run("moloco_export").out)
    assert datetime.fromisoformat(line.pop("created_at")) == row.created_at
    assert line == {
        "event_id": "a",
        "event_type": "ADD_TO_CART",
        "destination": "default",
        "state": "rejected",
        "attempts": 1,
        "last_status": 400,
        "last_error": "missing page_id",
        "body": json.loads(row.payload),
    }


def test_the_body_is_exact_to_the_letter() -> None:
    revenue = Money("1234567.10", "EUR")
    purchase = event("order-1", event_type="PURCHASE", revenue=revenue)
    Outbox("default").record(purchase, keeps_id=True)
    assert f'"body": {OutboxEvent.objects.get().payload}}}\n' in run("moloco_export").out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["refused", "waiting", "flying"]),
        (["--state", "pending"], ["waiting", "flying"]),
        (["--state", "rejected"], ["refused"]),
        (["--status", "400"], ["refused"]),
        (["--event-id", "flying"], ["flying"]),
        (["--older-than", "1h"], []),
    ],
)
def test_which_ones(reject: Reject, arguments: list[str], expected: list[str]) -> None:
    reject("refused")
    record("waiting", "flying")
    reject("delivered", state=OutboxEvent.State.SENT, payload="")
    OutboxEvent.objects.filter(event_id="flying").update(lease_token="x")
    assert [each["event_id"] for each in lines(run("moloco_export", *arguments).out)] == expected


def test_more_than_are_read_at_once() -> None:
    event_ids = record_many(2_500)
    assert [each["event_id"] for each in lines(run("moloco_export").out)] == event_ids


def test_a_file_is_for_the_operator_alone(tmp_path: Path, reject: Reject) -> None:
    reject("a")
    path = tmp_path / "events.jsonl"
    ran = run("moloco_export", "--output", str(path))
    assert ran.out == f"1 event written to {path}.\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each["event_id"] for each in lines(path.read_text())] == ["a"]


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("precious")
    ran = run("moloco_export", "--output", str(path))
    assert (ran.status, ran.err) == (1, f"{path}: File exists.\n")
    assert path.read_text() == "precious"


def test_it_changes_nothing(reject: Reject) -> None:
    reject("a")
    record("b")
    before = list(OutboxEvent.objects.order_by("id").values())
    run("moloco_export")
    assert list(OutboxEvent.objects.order_by("id").values()) == before


def test_the_database_that_is_named() -> None:
    record("there", using="other")
    assert run("moloco_export").out == ""
    assert len(lines(run("moloco_export", "--database", "other").out)) == 1


def test_an_event_that_has_been_delivered_meanwhile_is_left_out() -> None:
    record("a", "b", "c")
    backlog = Backlog("default")
    keys = backlog.keys(["pending"], Selection())
    OutboxEvent.objects.filter(event_id="a").delete()
    OutboxEvent.objects.filter(event_id="b").update(
        state=OutboxEvent.State.SENT, payload="", finished_at=DatabaseNow()
    )
    assert [kept.event_id for kept in backlog.kept(keys)] == ["c"]
