"""The dashboard: the state in words, figures, errors, buttons, and what to do at first."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client, override_settings

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.protocol import SECOND, Reason, State
from tests.admin.pages import (
    DASHBOARD,
    EVENTS,
    SMALL_DASHBOARD,
    act,
    count,
    kept,
    log,
    messages,
    states,
)

pytestmark = [pytest.mark.urls("tests.admin.urls"), pytest.mark.django_db]


def circuit(step: str, *arguments: Any) -> None:
    """Have the circuit of the default gate take a step."""

    def change(held: Held) -> None:
        held.circuit = getattr(held.circuit, step)(held.now, *arguments)

    Gate("default").change(change)


def fail(times: int = 1) -> None:
    for _ in range(times):
        circuit("failed", Gate("default").look().circuit.generation, 0.0)


def relay_seen(seconds_ago: int = 0, **columns: Any) -> None:
    now = Gate("default").look().now
    GateRow.objects.update(relay_seen_at=now - seconds_ago * SECOND, **columns)


def headline(client: Client) -> Any:
    response = client.get(DASHBOARD)
    assert response.status_code == 200
    return response.context["headline"]


def test_nothing_sent_yet(viewer: Client) -> None:
    found = headline(viewer)
    assert (found.tone, found.title) == ("quiet", "Nothing has been sent yet")
    assert any("Decorate a view" in step for step in found.steps)


@override_settings(MOLOCO_RMP={"PLATFORM_ID": "SHOP_TEST", "TIMEOUTS": 1})
def test_faulty_settings(viewer: Client) -> None:
    found = headline(viewer)
    assert found.tone == "bad"
    assert [step.split(" is ")[0] for step in found.steps] == [
        "MOLOCO_RMP['TIMEOUTS']",
        "MOLOCO_RMP['API_KEY']",
    ]
    assert "Did you mean 'TIMEOUT'?" in found.steps[0]


@override_settings(MOLOCO_RMP=None)
def test_nothing_configured(viewer: Client) -> None:
    assert "MOLOCO_RMP is not set to a dict" in headline(viewer).steps[0]


@override_settings(MOLOCO_RMP={"ENABLED": False})
def test_switched_off(viewer: Client) -> None:
    assert headline(viewer).title == "Switched off"


@pytest.mark.parametrize(
    ("relay", "step"),
    [
        ("thread", "The relay runs in the web process"),
        ("command", "Start manage.py moloco_relay"),
        ("celery", "Start a Celery worker"),
        ("tasks", "Start a worker of your backend"),
        ("off", "RELAY is 'off'"),
    ],
)
def test_no_relay_seen_for_a_while(viewer: Client, relay: str, step: str) -> None:
    kept("cart-1", OutboxEvent.State.PENDING)
    with override_settings(MOLOCO_RMP={**django_settings.MOLOCO_RMP, "RELAY": relay}):
        found = headline(viewer)
        assert (found.tone, found.text) == ("bad", "No relay has been seen at all.")
        assert found.steps[0].startswith(step)
        relay_seen(300)
        found = headline(viewer)
        assert (found.tone, found.text) == ("bad", "A relay was seen 5\xa0minutes ago.")
        OutboxEvent.objects.all().delete()
        relay_seen(300, delivered=1)
        found = headline(viewer)
        assert (found.tone, found.title) == ("quiet", "All is sent")
        assert found.steps[0].startswith(step)


def test_events_flow(viewer: Client) -> None:
    relay_seen(2, delivered=5)
    GateRow.objects.update(last_success_at=Gate("default").look().now - 3 * SECOND)
    found = headline(viewer)
    assert (found.tone, found.title) == ("good", "Events flow")
    assert re.search("delivered [34] seconds ago", found.text)


def test_events_flow_that_have_not_arrived_yet(viewer: Client) -> None:
    kept("cart-1", OutboxEvent.State.PENDING)
    relay_seen()
    found = headline(viewer)
    assert (found.tone, found.title, found.text) == ("good", "Events flow", "")


def test_events_flow_more_slowly_when_moloco_asks_for_it(viewer: Client) -> None:
    def throttle(held: Held) -> None:
        for mark in "ab":
            held.pace, _ = held.pace.throttle(held.now, held.now, mark, 60 * SECOND, 0.0, None)
        held.pace = replace(held.pace, rate=7_500, ceiling=30_000, changed_at=held.now)

    Gate("default").change(throttle)
    relay_seen(delivered=5)
    found = headline(viewer)
    assert (found.tone, found.text) == (
        "good",
        "Slowed down to 7.5 events a second: Moloco asked for less. "
        "Shoppers held back for a moment: 2.",
    )


def test_an_outage(viewer: Client) -> None:
    relay_seen()
    fail()
    found = headline(viewer)
    assert (found.tone, found.title) == (
        "warning",
        "Moloco cannot be reached, or its server fails",
    )
    assert found.text == "After 1 failure the next try waits; nothing is lost."
    text = viewer.get(DASHBOARD).content.decode()
    assert re.search("Next probe in [0-5] seconds?.|A probe is due now", text)
    fail(5)
    found = headline(viewer)
    assert (found.tone, found.text) == (
        "bad",
        "Delivery is suspended after 6 failures in a row; nothing is lost.",
    )
    assert "Next probe in 14\xa0minutes" in viewer.get(DASHBOARD).content.decode()


@pytest.mark.parametrize(
    ("reason", "title", "step"),
    [
        (Reason.CONFIGURATION, "a setting has to be repaired", "Compare PLATFORM_ID and API_KEY"),
        (Reason.REJECTIONS, "the mapping looks broken", "Read the newest errors"),
    ],
)
def test_the_reason_in_words(viewer: Client, reason: Reason, title: str, step: str) -> None:
    circuit("misconfigured", 0, 0.0)
    GateRow.objects.update(reason=reason.value, last_status=401, last_error="no such <key>")
    found = headline(viewer)
    assert title in found.title
    assert found.steps[0].startswith(step)
    assert "401 <q>no such &lt;key&gt;</q>" in viewer.get(DASHBOARD).content.decode()


def test_pause_resume_probe(operator: Client) -> None:
    def buttons() -> set[str]:
        text = operator.get(DASHBOARD).content.decode()
        return set(re.findall(rf'action="{DASHBOARD}(\w+)/"', text))

    assert buttons() == {"pause"}
    response = operator.post(f"{DASHBOARD}pause/")
    assert messages(operator.get(response.url)) == ["Delivery is paused. Events are kept."]
    assert Gate("default").look().circuit.state is State.PAUSED
    assert buttons() == {"resume"}
    assert headline(operator).title == "Paused by an operator"
    operator.post(f"{DASHBOARD}resume/")
    assert Gate("default").look().circuit.state is State.CLOSED
    fail()
    assert buttons() == {"pause", "probe"}
    operator.post(f"{DASHBOARD}probe/")
    held = Gate("default").look()
    assert held.circuit.permit(held.now, 5).is_probe
    assert [text for _, text in log()] == [
        "Delivery is paused. Events are kept.",
        "Delivery is resumed.",
        "One event is tried now. If it is accepted, the others follow.",
    ]


def test_a_probe_has_something_to_probe_with(operator: Client) -> None:
    later = DatabaseNow() + timedelta(hours=1)
    for number in range(3):
        kept(f"cart-{number}", OutboxEvent.State.PENDING, available_at=later)
    fail()
    operator.post(f"{DASHBOARD}probe/")
    assert OutboxEvent.objects.filter(available_at__lte=DatabaseNow()).count() == 1


def test_an_unknown_button_is_no_error(operator: Client) -> None:
    assert operator.post(f"{DASHBOARD}explode/").status_code == 302
    assert log() == []


def test_resend_all_rejected(operator: Client) -> None:
    for number in range(3):
        kept(f"cart-{number}")
    text = operator.get(DASHBOARD).content.decode()
    assert "Resend 3 rejected" in text
    form = text[text.index(f'action="{EVENTS}?state=rejected"') :].split("</form>")[0]
    data = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    operator.post(f"{EVENTS}?state=rejected", data)
    assert set(states().values()) == {OutboxEvent.State.PENDING}
    assert "Resend" not in operator.get(DASHBOARD).content.decode()


def test_figures_by_period_and_type(viewer: Client) -> None:
    count("PURCHASE", "delivered", 1234)
    count("PURCHASE", "rejected", 5, hours_ago=1)
    count("HOME", "delivered", 70, hours_ago=20)
    count("HOME", "dropped", 900, hours_ago=100)
    count("HOME", "delivered", 1, hours_ago=200)
    expected = {
        "hour": {"PURCHASE": ("1,234", "0", "5", "0")},
        "day": {"HOME": ("70", "0", "0", "0"), "PURCHASE": ("1,234", "0", "5", "0")},
        "week": {"HOME": ("70", "0", "0", "900"), "PURCHASE": ("1,234", "0", "5", "0")},
    }
    for period, rows in expected.items():
        response = viewer.get(f"{DASHBOARD}?period={period}")
        figures = response.context["figures"]
        assert {row.event_type: row.figures for row in figures.rows} == rows
        sums = [sum(int(row[i].replace(",", "")) for row in rows.values()) for i in range(4)]
        assert [tile.figure.replace(",", "") for tile in figures.tiles] == list(map(str, sums))
        for column in figures.columns:
            assert all(float(part.start) >= 0 for part in column.parts)
    # As many columns as hours, or quarters of days, have begun.
    columns = viewer.get(f"{DASHBOARD}?period=day").context["figures"].columns
    assert len(columns) == 25
    assert [column.figures[0] for column in columns if column.figures[0] != "0"] == ["70", "1,234"]


@pytest.mark.parametrize("period", ["hour", "day", "week"])
def test_an_hour_that_has_begun_meanwhile_is_not_in_the_figures_yet(
    viewer: Client, period: str
) -> None:
    # On another machine, say. Two, for the present hour may end during the test.
    count("HOME", "delivered", 70, hours_ago=-2)
    count("HOME", "delivered", 5)
    figures = viewer.get(f"{DASHBOARD}?period={period}").context["figures"]
    assert figures.tiles[0].figure == "5"
    assert sum(column.total for column in figures.columns) == (0 if period == "hour" else 5)


def test_charts_are_told_to_a_screen_reader(viewer: Client) -> None:
    count("PURCHASE", "delivered", 12)
    count("PURCHASE", "rejected", 3)
    text = viewer.get(DASHBOARD).content.decode()
    charts = re.findall(r"<svg class=\"moloco-(?:chart|strip)\"[^>]*>.*?</svg>", text, re.S)
    assert len(charts) == 2
    for chart in charts:
        assert 'role="img"' in chart
        assert "<title" in chart
    told = "PURCHASE: 12 delivered, 0 to be tried again, 3 rejected, 0 dropped"
    assert f'aria-label="{told}"' in text
    for reference in re.findall(r'aria-labelledby="([^"]+)"', charts[0]):
        assert all(f'id="{each}"' in text for each in reference.split())


def test_numbers_of_charts_are_numbers_in_every_language(viewer: Client) -> None:
    count("PURCHASE", "delivered", 1)
    count("HOME", "delivered", 3)
    with override_settings(LANGUAGE_CODE="de", USE_THOUSAND_SEPARATOR=True):
        text = viewer.get(DASHBOARD).content.decode()
    for name in ("x", "y", "width", "height"):
        for value in re.findall(rf'<rect[^>]* {name}="([^"]*)"', text):
            float(value)


def test_backlog_and_errors(viewer: Client) -> None:
    hour = DatabaseNow() - timedelta(hours=2)
    kept("old", OutboxEvent.State.PENDING, created_at=hour, event_type="PURCHASE")
    kept("new", OutboxEvent.State.PENDING, event_type="HOME")
    for number in range(7):
        kept(f"cart-{number}", last_error=f"fault {'abcdefg'[number]} in items[{number}]")
    response = viewer.get(DASHBOARD)
    context = response.context
    assert (context["waiting"], context["rejected"], context["oldest"]) == ("2", "7", "2\xa0hours")
    assert context["types"] == [("HOME", "1"), ("PURCHASE", "1")]
    assert len(context["errors"]["groups"]) == 5
    assert "2 other messages" in response.content.decode()
    (row,) = viewer.get(context["errors"]["groups"][0]["url"]).context["cl"].result_list
    assert row.event_id == "cart-6"


def test_the_drain_time_is_told_if_the_rate_is_known(viewer: Client) -> None:
    for number in range(20):
        kept(f"cart-{number}", OutboxEvent.State.PENDING)
    assert viewer.get(DASHBOARD).context["drain"] == "not known yet"
    now = Gate("default").look().now
    GateRow.objects.update(pace_window_at=now, pace_window_rate=2000)
    assert viewer.get(DASHBOARD).context["drain"] == "about 10 seconds"


def test_what_would_take_long_to_count_is_told_as_more_than_that(viewer: Client) -> None:
    for number in range(3):
        kept(f"due-{number}", OutboxEvent.State.PENDING)
        later = DatabaseNow() + timedelta(hours=1)
        kept(f"later-{number}", OutboxEvent.State.PENDING, available_at=later)
        kept(f"refused-{number}")
    now = Gate("default").look().now
    GateRow.objects.update(pace_window_at=now, pace_window_rate=2000)
    context = viewer.get(SMALL_DASHBOARD).context
    told = (context["waiting"], context["rejected"], context["drain"])
    assert told == ("more than 4", "3", "more than 2 seconds")
    assert context["types"] == [("ADD_TO_CART", "4")]
    assert context["is_sample"]


def test_the_fragment_is_what_changes(viewer: Client) -> None:
    text = viewer.get(f"{DASHBOARD}?period=week&fragment=1").content.decode()
    assert text.startswith("\n<section") or text.lstrip().startswith("<section")
    assert "<html" not in text
    assert 'aria-current="page">Last week' in text


def test_the_dashboard_costs_so_many_queries(
    viewer: Client, django_assert_num_queries: Any
) -> None:
    for number in range(30):
        kept(f"cart-{number}")
        count("HOME", "delivered", number, hours_ago=number)
    viewer.get(DASHBOARD)
    with django_assert_num_queries(20):
        viewer.get(DASHBOARD)


def test_nothing_on_the_page_comes_from_elsewhere(viewer: Client) -> None:
    text = viewer.get(DASHBOARD).content.decode()
    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', text) == []
    assert "<style" not in text
    assert re.findall(r"<script(?![^>]*src=)", text) == []
    assert " style=" not in text
    assert " onclick" not in text


def test_discarded_events_are_in_the_figures(operator: Client) -> None:
    act(operator, "discard", kept("cart-1", event_type="HOME"), confirmed="yes")
    tiles = operator.get(DASHBOARD).context["figures"].tiles
    assert [tile.figure for tile in tiles] == ["0", "0", "0", "1"]
