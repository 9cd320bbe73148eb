"""``moloco_forget``."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from django_moloco_rmp.conf import get_settings
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.events import Device
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.identity import hash_identifier
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.shopper import identifier_key
from tests.commands.run import run
from tests.outbox.samples import MINUTE, claim_one, event, record_many

State = OutboxEvent.State
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def hashed(user_id: str) -> str:
    return hash_identifier("user_id", user_id, identifier_key(get_settings()))


def record_for(user_id: str | None, event_id: str, using: str = "default", **device: Any) -> None:
    user = None if user_id is None else hashed(user_id)
    Outbox(using).record(
        event(event_id, user_id=user, device=Device(**device)), keeps_id=event_id.startswith("o")
    )


def left(using: str = "default") -> list[str]:
    rows = OutboxEvent.objects.using(using).order_by("event_id")
    return list(rows.values_list("event_id", flat=True))


@pytest.fixture
def shoppers() -> None:
    browser = "b" * 64
    record_for("4711", "mine 1", persistent_id=browser)
    record_for("4711", "mine 2")
    record_for("4711", "o mine refused")
    record_for("4712", "theirs", persistent_id=browser)
    record_for(None, "before signing in", persistent_id=browser)
    OutboxEvent.objects.filter(event_id="o mine refused").update(
        state=State.REJECTED, finished_at=DatabaseNow()
    )


@pytest.mark.usefixtures("shoppers")
@pytest.mark.parametrize("form", ["raw", "with white space", "hashed", "hashed in capitals"])
def test_a_shoppers_events_go_and_no_others(form: str) -> None:
    forms = {
        "raw": "4711",
        "with white space": " 4711 ",
        "hashed": hashed("4711"),
        "hashed in capitals": hashed("4711").upper(),
    }
    ran = run("moloco_forget", forms[form])
    assert left() == ["before signing in", "theirs"]
    assert ran.out.startswith("3 events removed, 0 kept ids of delivered events cleared.\n")
    # Whose they were is not written anywhere.
    assert "4711" not in ran.out + ran.err
    assert hashed("4711")[:8] not in (ran.out + ran.err).lower()


@pytest.mark.usefixtures("shoppers")
def test_a_dry_run_counts_the_same_and_removes_nothing() -> None:
    before = left()
    assert run("moloco_forget", "4711", "--dry-run", "--json").json == {
        "events": 3,
        "delivered_ids": 0,
        "dry_run": True,
    }
    assert left() == before
    assert run("moloco_forget", "4711", "--json").json["events"] == 3


def test_a_raw_id_that_looks_like_a_hash() -> None:
    raw = "0123456789abcdef" * 4
    record_for(raw, "mine")
    assert run("moloco_forget", raw, "--json").json["events"] == 1


@pytest.mark.usefixtures("shoppers")
@pytest.mark.parametrize("user_id", ["471", "47111", "b" * 64, "0" * 64])
def test_others_have_nothing_there(user_id: str) -> None:
    before = left()
    assert run("moloco_forget", user_id, "--json").json["events"] == 0
    assert left() == before


def test_an_event_in_flight_goes_and_its_result_finds_nothing() -> None:
    record_for("4711", "mine")
    outbox = Outbox("default")
    token, claimed = claim_one(outbox)
    assert run("moloco_forget", "4711", "--json").json["events"] == 1
    assert outbox.delivered(token, [claimed]) == 0
    assert left() == []


def test_a_delivered_id_stays_known_but_names_nobody() -> None:
    record_for("4711", "order-1")
    outbox = Outbox("default")
    outbox.delivered(*_both(outbox))
    assert run("moloco_forget", "4711", "--json").json == {
        "events": 0,
        "delivered_ids": 1,
        "dry_run": False,
    }
    row = OutboxEvent.objects.get()
    assert (row.event_id, row.state, row.identifier) == ("order-1", State.SENT, "")


def _both(outbox: Outbox) -> tuple[str, list[Any]]:
    lease = outbox.claim(1, MINUTE)
    return lease.token, list(lease.events)


def test_rows_older_than_the_column_are_found_by_their_bodies() -> None:
    record_for("4711", "mine")
    record_for("4712", "theirs")
    OutboxEvent.objects.update(identifier="")
    run("moloco_forget", "4711")
    assert left() == ["theirs"]


def test_a_throttled_shopper_is_forgotten_by_the_gate() -> None:
    def throttle(held: Held) -> None:
        for user_id in ("4711", "4712"):
            mark = hashed(user_id)[:32]
            held.pace, _ = held.pace.throttle(held.now, held.now, mark, None, 0.0, None)

    Gate("default").change(throttle)
    run("moloco_forget", "4711", "--dry-run")
    assert len(Gate("default").look().pace.throttled) == 2
    run("moloco_forget", "4711")
    assert list(Gate("default").look().pace.throttled) == [hashed("4712")[:32]]


def test_a_whole_table_is_looked_through() -> None:
    record_for("4711", "first")
    record_many(6_000)
    record_for("4711", "last")
    assert run("moloco_forget", "4711", "--json").json["events"] == 2
    assert OutboxEvent.objects.count() == 6_000


def test_the_key_of_the_settings_counts() -> None:
    with override_settings(
        MOLOCO_RMP={"PLATFORM_ID": "S", "API_KEY": "k", "HASH_KEY": "another key, long enough"}
    ):
        record_for("4711", "mine")
    assert run("moloco_forget", "4711", "--json").json["events"] == 0


def test_a_blank_id_is_nobodys() -> None:
    ran = run("moloco_forget", "  ")
    assert (ran.status, ran.err) == (1, "USER_ID is blank.\n")


def test_the_database_that_is_named() -> None:
    record_for("4711", "here")
    record_for("4711", "there", using="other")
    run("moloco_forget", "4711", "--database", "other")
    assert (left("default"), left("other")) == (["here"], [])
