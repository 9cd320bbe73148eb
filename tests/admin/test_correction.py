"""Correcting a rejected event: validated, under the same id, both versions in the history."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from django_moloco_rmp.admin.correction import correct
from django_moloco_rmp.backlog import Backlog
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.wire import dumps, loads
from tests.admin.pages import SECRET, kept, log, messages, page
from tests.outbox.samples import event as sample

pytestmark = [pytest.mark.urls("tests.admin.urls"), pytest.mark.django_db]

State = OutboxEvent.State


def submit(client: Client, row: OutboxEvent, body: Any, **fields: Any) -> Any:
    """Open the form, write a body into it and send it."""
    form = client.get(page(row, "correct")).context["form"]
    text = body if isinstance(body, str) else json.dumps(body)
    return client.post(page(row, "correct"), {"body": text, "seen": form.initial["seen"], **fields})


def body_of(row: OutboxEvent, **changes: Any) -> dict[str, Any]:
    return json.loads(row.payload) | changes


def test_correct_and_resend(operator: Client) -> None:
    row = kept("cart-1", server_errors=4, failures=2)
    response = submit(operator, row, body_of(row, items=[{"id": "chair"}], page_id="HOME"))
    assert messages(operator.get(response.url)) == ["Corrected, and sent again."]
    now = OutboxEvent.objects.annotate(now=DatabaseNow()).get()
    assert (now.event_id, now.state, now.failures, now.server_errors) == ("cart-1", 0, 0, 0)
    assert now.available_at <= now.now
    event = loads(now.payload)
    assert (event.id, event.items[0].id, event.page_id) == ("cart-1", "chair", "HOME")
    assert event.user_id == SECRET
    # It waits since now, whenever it was recorded.
    OutboxEvent.objects.update(created_at=DatabaseNow() - timedelta(days=3))
    assert Backlog("default").summary().oldest == pytest.approx(0, abs=60)


def test_the_form_holds_what_is_sent(operator: Client) -> None:
    row = kept("cart-1")
    form = operator.get(page(row, "correct")).context["form"]
    assert json.loads(form.initial["body"]) == json.loads(row.payload)


def test_type_and_identifier_follow_the_body(operator: Client) -> None:
    row = kept("cart-1")
    submit(operator, row, body_of(row, event_type="ADD_TO_WISHLIST", user_id="a" * 64))
    row.refresh_from_db()
    assert (row.event_type, row.identifier) == ("ADD_TO_WISHLIST", "a" * 32)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"items": [{"id": "lamp", "quantity": 0}]}, "items[0].quantity: "),
        ({"event_type": "BUY"}, "event_type: must be one of HOME, LAND"),
        ({"timestamp": "1"}, "timestamp: is not a 13-digit count of milliseconds. Pass"),
        ({"id": "cart-2"}, "id: must stay cart-1. Put it back"),
        ({"id": "%(id)s"}, "id: must stay cart-1."),
        ({"event_type": "PURCHASE"}, "revenue: is required for PURCHASE. Pass the sum"),
        ("{", "body: is not JSON. Pass a JSON object."),
        ("[]", "body: must be a JSON object, not list."),
        ("[" * 5000, "body: is not JSON."),
        ("", "This field is required."),
        ('{"id": "%s %(field)s"}', "event_type: must be one of"),
    ],
)
def test_what_moloco_would_refuse_is_refused_here(operator: Client, change: Any, told: str) -> None:
    row = kept("cart-1")
    body = change if isinstance(change, str) else body_of(row, **change)
    response = submit(operator, row, body)
    assert response.status_code == 200
    (error,) = response.context["form"].errors["body"]
    assert error.startswith(told)
    # What was typed is still there.
    assert response.context["form"]["body"].value() == (
        body if isinstance(body, str) else json.dumps(body)
    )
    before = row.payload
    row.refresh_from_db()
    assert (row.state, row.payload) == (State.REJECTED, before)
    assert log() == []


def test_both_versions_are_in_the_history_without_what_names_the_shopper(
    operator: Client, viewer: Client
) -> None:
    row = kept("cart-1")
    submit(operator, row, body_of(row, items=[{"id": "chair"}]))
    ((what, text),) = log()
    assert what == "ADD_TO_CART cart-1"
    first, before, after = text.split("\n")
    assert first == "Corrected, and sent again."
    assert json.loads(before.removeprefix("Before: "))["items"] == [{"id": "lamp"}]
    assert json.loads(after.removeprefix("After: "))["items"] == [{"id": "chair"}]
    assert SECRET not in text
    assert "chair" in operator.get(page(row, "history")).content.decode()
    seen = viewer.get(page(row, "history")).content.decode()
    assert "Corrected, and sent again." in seen
    assert "chair" not in seen


@pytest.mark.parametrize("payload", ["<no JSON>", "[" * 10_000], ids=["text", "nested too deep"])
def test_of_a_body_that_was_no_json_the_history_has_the_length(
    operator: Client, payload: str
) -> None:
    row = kept("cart-1", payload=payload)
    submit(operator, row, dumps(sample("cart-1")))
    row.refresh_from_db()
    assert row.state == State.PENDING
    ((_, text),) = log()
    _, before, after = text.split("\n")
    assert before == f"Before: (no JSON, {len(payload)} characters)"
    assert json.loads(after.removeprefix("After: "))["id"] == "cart-1"


def test_what_happens_between_the_look_and_the_writing_is_not_overwritten(
    operator: Client,
) -> None:
    row = kept("cart-1")
    others: list[int] = []

    def intervene(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith("UPDATE") and OutboxEvent._meta.db_table in sql and not others:
            others.append(row.attempts + 1)
            # Another correction was sent, and refused.
            OutboxEvent.objects.update(attempts=others[0])
        return execute(sql, *arguments)

    with connection.execute_wrapper(intervene):
        response = submit(operator, row, body_of(row, page_id="A"))
    assert response.context["form"].non_field_errors() == [
        "This event has changed meanwhile: open it again."
    ]
    before = row.payload
    row.refresh_from_db()
    assert (row.state, row.payload, row.attempts) == (State.REJECTED, before, others[0])
    assert log() == []


def test_a_replayed_correction_changes_nothing(operator: Client) -> None:
    row = kept("cart-1")
    form = operator.get(page(row, "correct")).context["form"]
    data = {"body": json.dumps(body_of(row, page_id="A")), "seen": form.initial["seen"]}
    operator.post(page(row, "correct"), data)
    row.refresh_from_db()
    first = row.payload
    again = operator.post(page(row, "correct"), data | {"body": first.replace('"A"', '"B"')})
    (text,) = messages(operator.get(again.url))[-1:]
    assert text == "This event is not rejected, so there is nothing to correct."
    row.refresh_from_db()
    assert row.payload == first


def test_two_who_correct_the_same_event_do_not_overwrite_each_other(operator: Client) -> None:
    row = kept("cart-1")
    form = operator.get(page(row, "correct")).context["form"]
    OutboxEvent.objects.update(payload=row.payload.replace("lamp", "chair"))
    data = {"body": json.dumps(body_of(row, page_id="A")), "seen": form.initial["seen"]}
    response = operator.post(page(row, "correct"), data)
    assert "meanwhile" in str(response.context["form"].errors["seen"])
    row.refresh_from_db()
    assert "chair" in row.payload


def test_a_correction_that_comes_too_late_is_not_written() -> None:
    row = kept("cart-1")
    event = loads(row.payload.replace("lamp", "chair"))
    # Another correction was sent, and refused.
    OutboxEvent.objects.update(attempts=row.attempts + 1)
    assert correct("default", row, event) is None
    row.refresh_from_db()
    assert "chair" not in row.payload
    assert correct("default", row, event) is not None
    # It is no longer rejected.
    assert correct("default", row, event) is None


@pytest.mark.parametrize("seen", ["", "x", "9" * 5000])
def test_a_forged_version_is_refused(operator: Client, seen: str) -> None:
    row = kept("cart-1")
    response = submit(operator, row, body_of(row, page_id="A"), seen=seen)
    assert response.status_code == 200
    row.refresh_from_db()
    assert row.state == State.REJECTED


@pytest.mark.parametrize("state", [State.PENDING, State.SENT])
def test_only_a_rejected_event_is_corrected(operator: Client, state: int) -> None:
    row = kept("cart-1", state)
    assert operator.get(page(row, "correct")).status_code == 302
    data = {"body": row.payload, "seen": "x"}
    assert operator.post(page(row, "correct"), data).status_code == 302
    row.refresh_from_db()
    assert row.state == state
