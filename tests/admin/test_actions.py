"""What an operator does with events: resend, discard and export, some or all that match."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from django_moloco_rmp import signals
from django_moloco_rmp.admin.discarding import discard
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import HourlyCount, OutboxEvent
from tests.admin.pages import EVENTS, SMALL, act, hidden, kept, lines, log, messages, states

pytestmark = [pytest.mark.urls("tests.admin.urls"), pytest.mark.django_db]

State = OutboxEvent.State
PENDING, SENT, REJECTED = State.PENDING, State.SENT, State.REJECTED


def finish(client: Client, response: Any, url: str) -> int:
    """Press "Go on" as often as there is such a button; return how often."""
    times = 0
    while response.status_code == 200:
        response = client.post(url, hidden(response))
        times += 1
    assert response.status_code == 302
    return times


def test_resend_selected(operator: Client) -> None:
    rows = [kept(f"cart-{number}", server_errors=3, failures=2) for number in range(3)]
    kept("waits", PENDING)
    response = act(operator, "resend", rows[0], rows[2])
    assert messages(operator.get(response.url)) == ["2 rejected events are sent again."]
    assert states() == {"cart-0": PENDING, "cart-1": REJECTED, "cart-2": PENDING, "waits": PENDING}
    row = OutboxEvent.objects.annotate(now=DatabaseNow()).get(event_id="cart-0")
    assert (row.failures, row.server_errors, row.finished_at) == (0, 0, None)
    assert row.available_at <= row.now
    assert [text for _, text in log()] == ["2 rejected events are sent again."] * 2


def test_resend_all_that_match(operator: Client) -> None:
    kept("cart-0", event_type="PURCHASE")
    kept("cart-1", event_type="HOME")
    kept("sent", SENT, event_type="PURCHASE")
    act(operator, "resend", url=f"{EVENTS}?type=PURCHASE")
    assert states() == {"cart-0": PENDING, "cart-1": REJECTED, "sent": SENT}
    ((what, text),) = log()
    assert what == "1 rejected event is sent again."
    assert text.endswith("All that match: type=PURCHASE")


def test_many_are_resent_in_steps(operator: Client) -> None:
    for number in range(8):
        kept(f"cart-{number}")
    url = f"{SMALL}?state=rejected"
    response = act(operator, "resend", url=url)
    assert response.context["title"] == "3 rejected events are sent again."
    assert list(states().values()).count(PENDING) == 3
    # Whoever stops here has done that much.
    assert [what for what, _ in log()] == ["3 rejected events are sent again."]
    assert finish(operator, response, url) == 2
    assert set(states().values()) == {PENDING}
    assert sorted(what for what, _ in log()) == [
        f"{count} rejected events are sent again." for count in (3, 6, 8)
    ]


def test_what_is_refused_again_meanwhile_is_not_resent_for_ever(operator: Client) -> None:
    for number in range(5):
        kept(f"cart-{number}")
    url = f"{SMALL}?state=rejected"
    response = act(operator, "resend", url=url)
    again = list(OutboxEvent.objects.filter(state=PENDING).values_list("pk", flat=True))
    OutboxEvent.objects.filter(pk__in=again).update(
        state=REJECTED, finished_at=DatabaseNow() + timedelta(seconds=1)
    )
    finish(operator, response, url)
    assert set(OutboxEvent.objects.filter(state=REJECTED).values_list("pk", flat=True)) == set(
        again
    )


def test_discard_asks_first_and_says_how_many(operator: Client) -> None:
    for number in range(5):
        kept(f"cart-{number}", event_type="HOME" if number else "PURCHASE")
    kept("order", SENT)
    rows = OutboxEvent.objects.all()
    response = act(operator, "discard", *rows)
    assert response.status_code == 200
    assert response.context["title"] == "Discard 5 events?"
    assert OutboxEvent.objects.count() == 6
    response = operator.post(EVENTS, hidden(response))
    assert messages(operator.get(response.url)) == ["5 events are discarded."]
    assert states() == {"order": SENT}
    counted = HourlyCount.objects.filter(outcome="dropped").values_list("event_type", "count")
    assert dict(counted) == {"HOME": 4, "PURCHASE": 1}


def test_discarding_is_told(operator: Client) -> None:
    told: list[tuple[Any, ...]] = []

    def listen(sender: Any, reason: str, detail: str, seconds: float, **_: Any) -> None:
        told.append((sender, reason, detail, seconds))

    signals.event_dropped.connect(listen)
    try:
        act(operator, "discard", kept("cart-1", event_type="HOME"), confirmed="yes")
    finally:
        signals.event_dropped.disconnect(listen)
    assert told == [("HOME", "discarded", "", 0.0)]


def test_what_a_relay_holds_is_not_discarded(operator: Client) -> None:
    later = DatabaseNow() + timedelta(minutes=1)
    held = kept("held", PENDING, lease_token="relay", available_at=later)
    waiting = kept("waiting", PENDING, available_at=later)
    lapsed = kept("lapsed", PENDING, lease_token="gone")
    response = act(operator, "discard", held, waiting, lapsed)
    assert response.context["title"] == "Discard 2 events?"
    operator.post(EVENTS, hidden(response))
    assert states() == {"held": PENDING}


def test_what_a_relay_took_up_after_the_question_is_not_discarded() -> None:
    later = DatabaseNow() + timedelta(minutes=1)
    row = kept("held", PENDING, lease_token="relay", available_at=later)
    other = kept("order", SENT)
    assert list(discard("default", [row.pk, other.pk])) == [0]
    row.refresh_from_db()
    assert row.lease_token == "relay"
    assert not HourlyCount.objects.exists()


def test_discarding_nothing_says_so(operator: Client) -> None:
    response = act(operator, "discard", kept("order", SENT))
    assert response.status_code == 302
    (text,) = messages(operator.get(response.url))
    assert text.startswith("Nothing to discard")
    assert log() == []


def test_what_would_take_long_to_count_is_not_counted_before_it_is_discarded(
    operator: Client,
) -> None:
    for number in range(9):
        kept(f"cart-{number}")
    url = f"{SMALL}?state=rejected"
    response = act(operator, "discard", url=url)
    assert response.context["title"] == "Discard more than 8 events?"
    finish(operator, response, url)
    assert states() == {}


def test_only_what_was_there_when_it_was_confirmed_is_discarded(operator: Client) -> None:
    for number in range(7):
        kept(f"cart-{number}")
    url = f"{SMALL}?state=rejected"
    response = act(operator, "discard", url=url)
    assert response.context["title"] == "Discard 7 events?"
    kept("new", created_at=DatabaseNow() + timedelta(seconds=1))
    assert finish(operator, response, url) == 3
    assert states() == {"new": REJECTED}


def test_export(operator: Client) -> None:
    kept("cart-0", payload='{"revenue": 1.10, "q": "é<b>"}')
    kept("cart-1", payload="no JSON\n", state=PENDING)
    kept("order", SENT)
    response = act(operator, "export")
    assert response.streaming
    assert response["Content-Disposition"] == 'attachment; filename="moloco-events.jsonl"'
    assert "no-store" in response["Cache-Control"]
    first, second = sorted(lines(response), key=lambda line: line["event_id"])
    assert first["event_id"] == "cart-0"
    assert (first["state"], first["last_status"]) == ("rejected", 400)
    assert first["body"] == {"revenue": 1.1, "q": "é<b>"}
    assert second["body"] == "no JSON\n"
    assert [what for what, _ in log()] == ["2 events exported."]


def test_an_export_has_bodies_to_the_letter(operator: Client) -> None:
    row = kept("cart-0", payload='{"amount":1.10}')
    text = b"".join(act(operator, "export", row).streaming_content).decode()
    assert text.endswith('"body": {"amount":1.10}}\n')


@pytest.mark.parametrize("selected", [["x"], ["9" * 40], ["\x00"], ["1", "' OR 1=1"], ["\uff11"]])
@pytest.mark.parametrize("action", ["resend", "discard", "export"])
def test_forged_selections_do_nothing(operator: Client, action: str, selected: list[str]) -> None:
    kept("cart-1")
    data = {"action": action, "index": "0", "_selected_action": selected, "confirmed": "yes"}
    response = operator.post(EVENTS, data)
    assert response.status_code == 302
    assert states() == {"cart-1": REJECTED}
    assert log() == []


@pytest.mark.parametrize("field", ["moloco_since", "moloco_done", "index", "select_across"])
def test_forged_fields_are_no_error(operator: Client, field: str) -> None:
    row = kept("cart-1")
    for value in ("x", "-1", "9" * 50, "1e5", "", "0", "\x00"):
        response = act(operator, "resend", row, **{field: value})
        assert response.status_code in {200, 302}, value


def test_a_replayed_form_changes_nothing(operator: Client) -> None:
    row = kept("cart-1")
    response = act(operator, "discard", row)
    form = hidden(response)
    for _ in range(2):
        assert operator.post(EVENTS, form).status_code == 302
    act(operator, "resend", row)
    assert states() == {}
    assert HourlyCount.objects.get(outcome="dropped").count == 1
