"""Addresses, forms and rows for the tests of the admin."""

from __future__ import annotations

import json
import re
from typing import Any

from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client

from django_moloco_rmp.counts import HOUR
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import HourlyCount, OutboxEvent
from django_moloco_rmp.wire import dumps
from tests.outbox.samples import event

DASHBOARD = "/admin/moloco_rmp/gate/"
CHECKLIST = "/admin/moloco_rmp/hourlycount/"
EVENTS = "/admin/moloco_rmp/outboxevent/"
SMALL = "/small/moloco_rmp/outboxevent/"
SMALL_DASHBOARD = "/small/moloco_rmp/gate/"
SECRET = "5ec7e7" * 10 + "abcd"

#: What the kinds of staff may do; ``nobody`` is staff without any of our permissions.
ROLES: dict[str, tuple[str, ...]] = {
    "nobody": (),
    "viewer": ("view_outboxevent", "view_gate", "view_hourlycount"),
    "operator": (
        *("view_outboxevent", "view_gate", "view_hourlycount", "view_event_body"),
        *("resend_event", "correct_event", "discard_event", "operate_circuit"),
    ),
}


def kept(event_id: str, state: int = OutboxEvent.State.REJECTED, **columns: Any) -> OutboxEvent:
    """A row as a relay leaves it: rejected, unless another state is asked for."""
    fields = columns.pop("fields", {})
    body = columns.pop("payload", None)
    if body is None:
        body = dumps(event(event_id, user_id=SECRET, **fields))
    defaults: dict[str, Any] = {
        "event_type": "ADD_TO_CART",
        "payload": body,
        "identifier": SECRET[:32],
        "finished_at": None if state == OutboxEvent.State.PENDING else DatabaseNow(),
    }
    if state == OutboxEvent.State.REJECTED:
        defaults |= {"last_status": 400, "last_error": "items[0].price is wrong", "attempts": 1}
    return OutboxEvent.objects.create(event_id=event_id, state=state, **defaults | columns)


def page(row: OutboxEvent, name: str = "change") -> str:
    """The address of an event's page."""
    return f"{EVENTS}{row.pk}/{name}/"


def act(
    client: Client,
    action: str,
    *rows: OutboxEvent,
    url: str = EVENTS,
    follow: bool = False,
    **fields: Any,
) -> HttpResponse:
    """Do an action with some events; with all that match if there are none."""
    data = {
        "action": action,
        "index": "0",
        "select_across": "0" if rows else "1",
        "_selected_action": [row.pk for row in rows] or ["0"],
        **fields,
    }
    return client.post(url, data, follow=follow)


def hidden(response: HttpResponse) -> dict[str, list[str]]:
    """The hidden fields of the form that goes on."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(
        r'<input type="hidden" name="([^"]+)" value="([^"]*)">', response.content.decode()
    ):
        found.setdefault(name, []).append(value)
    found.pop("csrfmiddlewaretoken", None)
    return found


def shown(response: HttpResponse) -> list[str]:
    """The ids of the events in a list."""
    return [row.event_id for row in response.context["cl"].result_list]


def messages(response: HttpResponse) -> list[str]:
    """What the page tells of what was done."""
    return [str(message) for message in response.context["messages"]]


def log() -> list[tuple[str, str]]:
    """What the admin's log has: of what, and what was done."""
    rows = LogEntry.objects.order_by("pk")
    return [(row.object_repr, row.change_message) for row in rows]


def states() -> dict[str, int]:
    return dict(OutboxEvent.objects.values_list("event_id", "state"))


def count(
    event_type: str, outcome: str, number: int, *, hours_ago: int = 0, **columns: Any
) -> None:
    """Have so many events counted."""
    now = Gate("default").look().now
    HourlyCount.objects.create(
        **{
            "destination": "default",
            "hour": now // HOUR - hours_ago,
            "event_type": event_type,
            "outcome": outcome,
            "count": number,
            "last_at": now - hours_ago * HOUR,
            "last_event_id": f"{event_type}-{hours_ago}",
            **columns,
        }
    )


def lines(response: Any) -> list[dict[str, Any]]:
    """The JSON lines of a streamed answer."""
    text = b"".join(response.streaming_content).decode()
    return [json.loads(line) for line in text.splitlines()]
