"""The admin's pages, opened in turn with few events and with many: the process of `dashboard`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from benchmarks import stock
from benchmarks.children import say
from benchmarks.pairs import measure
from django_moloco_rmp.choices import EventType
from django_moloco_rmp.counts import KEPT
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import DEFAULT
from django_moloco_rmp.models import HourlyCount, OutboxEvent

_State = OutboxEvent.State
_FINISHED = {"finished_at": DatabaseNow(), "attempts": 1}
# By the names that the list's filter has for them.
_COLUMNS: dict[str, dict[str, Any]] = {
    "pending": {},
    "rejected": {
        **_FINISHED,
        "state": _State.REJECTED,
        "last_status": 400,
        "last_error": "items[0].id: is unknown",
    },
    "sent": {**_FINISHED, "state": _State.SENT, "payload": "", "keeps_id": True},
}
# More than the pages look through, for what they look through shall be as it is in a shop.
_NEWEST = 20_000


def _fill(count: int, names: Sequence[str]) -> None:
    """Keep so many events, as many in each of the states."""
    stock.clear()
    for name in names:
        values = _COLUMNS[name]
        each = count // len(names)
        newest = min(each, _NEWEST)
        if each > newest:
            stock.fill(each - newest, prefix=name, **{"payload": stock.SHORT_BODY, **values})
        stock.fill(newest, prefix=f"{name}-newest", **values)


def _count() -> None:
    """Leave what is counted by the hour in a busy shop."""
    hour = time.time_ns() // 3_600_000_000_000
    HourlyCount.objects.bulk_create(
        (
            HourlyCount(
                destination=DEFAULT,
                hour=hour - ago,
                event_type=event_type,
                outcome=outcome,
                count=1000,
                last_at=(hour - ago) * 3_600_000_000,
                last_event_id="an id",
            )
            for ago in range(KEPT)
            for event_type in EventType
            for outcome in HourlyCount.Outcome
        ),
        batch_size=500,
    )


def _pages(name: str) -> dict[str, str]:
    """Return the addresses of what is opened, with events of one of the states."""
    events = reverse("admin:moloco_rmp_outboxevent_changelist")
    dashboard = reverse("admin:moloco_rmp_gate_changelist")
    return {
        "dashboard": dashboard,
        "of a week": f"{dashboard}?period=week",
        "checklist": reverse("admin:moloco_rmp_hourlycount_changelist"),
        "events": events,
        "of a state": f"{events}?state={name}",
        "of a type": f"{events}?type=ADD_TO_CART",
        "by id": f"{events}?q={name}-newest-1",
        "by page id": f"{events}?q=PRODUCT:lamp",
    }


def main(rounds: str, few: str, many: str) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    _count()
    client = Client(headers={"host": "shop.example"})
    client.force_login(User.objects.create_superuser("operator"))

    def look(url: str) -> int:
        begun = time.perf_counter_ns()
        answer = client.get(url)
        took = time.perf_counter_ns() - begun
        assert answer.status_code == 200, url
        return took

    def open_all(kept: str, name: str) -> None:
        turns = {page: partial(look, url) for page, url in _pages(name).items()}
        say({"kept": kept, "times": measure(turns, rounds=int(rounds))})

    say([*_pages("pending")])
    thirds = [*_COLUMNS]
    _fill(int(few), thirds)
    stock.analyse()
    # Templates and the like are loaded by the first looks.
    measure({url: partial(look, url) for url in _pages("pending").values()}, rounds=2)
    open_all(f"{int(few):,}, a third in each state", "pending")
    for name in _COLUMNS:
        _fill(int(many), [name])
        stock.analyse()
        open_all(f"{int(many):,}, all {name}", name)
    _fill(int(many), thirds)
    open_all(f"{int(many):,}, a third in each state, just written", "pending")
    stock.analyse()
    open_all(f"{int(many):,}, a third in each state", "pending")
    connection.close()
    say(None)
