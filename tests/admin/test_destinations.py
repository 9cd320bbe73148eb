"""The admin where events go to several destinations: one at a time."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from django_moloco_rmp.counts import Counts
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from tests.admin.pages import (
    CHECKLIST,
    DASHBOARD,
    EVENTS,
    SMALL,
    act,
    count,
    kept,
    lines,
    log,
    messages,
    page,
    shown,
)
from tests.outbox.samples import record

pytestmark = [pytest.mark.urls("tests.admin.urls"), pytest.mark.django_db]

State = OutboxEvent.State
ENTRY = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}


@pytest.fixture(autouse=True)
def several(settings: Any) -> None:
    entries = {"de": ENTRY, "fr": {**ENTRY, "PLATFORM_ID": "SHOP_FR"}}
    settings.MOLOCO_RMP = {"DESTINATIONS": entries}


def html(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def tabs(client: Client, url: str) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = client.get(url).context["destination"].tabs
    return found


@pytest.mark.parametrize("url", [DASHBOARD, CHECKLIST])
@pytest.mark.parametrize("query", ["", "?destination=it", "?destination=", "?destination=%00"])
def test_a_page_is_about_the_first_unless_it_names_another(
    viewer: Client, url: str, query: str
) -> None:
    assert tabs(viewer, url + query) == [("de", True), ("fr", False)]
    assert tabs(viewer, f"{url}?destination=fr") == [("de", False), ("fr", True)]
    assert 'aria-label="Destination"' in html(viewer, url)


@pytest.mark.parametrize("url", [DASHBOARD, CHECKLIST, EVENTS])
def test_where_there_is_one_there_is_no_choice(viewer: Client, url: str, settings: Any) -> None:
    settings.MOLOCO_RMP = ENTRY
    kept("cart-1")
    text = html(viewer, url)
    assert "destination=" not in text
    assert 'aria-label="Destination"' not in text


def test_the_dashboard_tells_of_the_one(operator: Client) -> None:
    kept("cart-1", destination="fr", last_error="of fr alone")
    kept("cart-2", State.PENDING, destination="fr")
    count("HOME", "delivered", 7, destination="fr")
    found = operator.get(f"{DASHBOARD}?destination=fr").context
    assert (found["waiting"], found["rejected"]) == ("1", "1")
    assert [tile.figure for tile in found["figures"].tiles] == ["7", "0", "0", "0"]
    (group,) = found["errors"]["groups"]
    assert group["message"] == "of fr alone"
    assert "destination=fr" in group["url"]
    assert shown(operator.get(group["url"])) == ["cart-1"]
    other = operator.get(DASHBOARD).context
    assert (other["waiting"], other["rejected"], other["errors"]["groups"]) == ("0", "0", [])
    assert other["figures"].is_empty


def test_links_keep_the_choice(operator: Client) -> None:
    kept("cart-1", destination="fr")
    text = html(operator, f"{DASHBOARD}?destination=fr&period=week")
    assert "?period=week&amp;destination=de" in text
    assert "?period=day&amp;destination=fr" in text
    assert f"{EVENTS}?state=rejected&amp;destination=fr" in text
    assert f"{EVENTS}?destination=fr" in text
    assert f"{CHECKLIST}?destination=fr" in text
    assert f"{DASHBOARD}?destination=fr" in html(operator, f"{CHECKLIST}?destination=fr")


def test_a_button_is_for_the_one(operator: Client) -> None:
    later = {"available_at": "2100-01-01T00:00:00Z"}
    kept("cart-1", State.PENDING, destination="de", **later)
    kept("cart-1", State.PENDING, destination="fr", **later)
    assert '<input type="hidden" name="destination" value="fr">' in html(
        operator, f"{DASHBOARD}?destination=fr"
    )
    response = operator.post(f"{DASHBOARD}pause/", {"destination": "fr"})
    assert response.headers["Location"] == f"{DASHBOARD}?destination=fr"
    states = {name: Gate("default", name).look().circuit.state.value for name in ("de", "fr")}
    assert states == {"de": "closed", "fr": "paused"}
    assert log() == [("Delivery: fr", "Delivery is paused. Events are kept.")]
    operator.post(f"{DASHBOARD}resume/", {"destination": "fr"})
    assert Gate("default", "fr").look().circuit.state.value == "closed"
    due = OutboxEvent.objects.filter(available_at__year__lt=2100)
    assert list(due.values_list("destination", flat=True)) == ["fr"]


def test_what_was_meant_for_one_that_is_gone_befalls_no_other(operator: Client) -> None:
    row = kept("cart-1", destination="de")
    response = operator.post(f"{DASHBOARD}pause/", {"destination": "gone"}, follow=True)
    assert messages(response) == ["There is no such destination."]
    assert Gate("default", "de").look().circuit.state.value == "closed"
    for query in ("?destination=gone", "?destination=gone&state=rejected"):
        for action in ("discard", "resend"):
            url = f"{EVENTS}{query}"
            response = act(operator, action, url=url, follow=True, confirmed="yes")
            assert messages(response) == ["There is no such destination."]
    row.refresh_from_db()
    assert row.state == State.REJECTED


def test_one_that_is_in_the_settings_no_more_is_shown_as_that(operator: Client) -> None:
    kept("cart-1", destination="old")
    assert tabs(operator, DASHBOARD) == [("de", True), ("fr", False), ("old", False)]
    text = html(operator, f"{DASHBOARD}?destination=old")
    assert "This destination is in the settings no more" in text
    assert "no more" in html(operator, f"{CHECKLIST}?destination=old")


def test_the_checklist_tells_of_the_one(viewer: Client) -> None:
    count("PURCHASE", "delivered", 3, destination="fr")
    found = viewer.get(f"{CHECKLIST}?destination=fr").context
    assert (found["total"], found["done"]) == ("3", 1)
    assert "SHOP_FR" in html(viewer, f"{CHECKLIST}?destination=fr")
    assert viewer.get(CHECKLIST).context["done"] == 0


def test_the_list_is_of_one_at_a_time(viewer: Client) -> None:
    kept("cart-1", destination="de")
    kept("cart-2", destination="fr")
    kept("cart-3", State.PENDING, destination="fr")
    assert shown(viewer.get(EVENTS)) == ["cart-1"]
    assert shown(viewer.get(f"{EVENTS}?destination=fr")) == ["cart-3", "cart-2"]
    assert shown(viewer.get(f"{EVENTS}?destination=fr&state=rejected")) == ["cart-2"]
    assert shown(viewer.get(f"{EVENTS}?destination=it&state=rejected")) == ["cart-1"]
    response = viewer.get(f"{EVENTS}?destination=fr")
    (spec,) = [each for each in response.context["cl"].filter_specs if each.title == "destination"]
    choices = list(spec.choices(response.context["cl"]))
    assert [(each["display"], each["selected"]) for each in choices] == [
        ("de", False),
        ("fr", True),
    ]


def test_an_id_is_found_wherever_it_goes(viewer: Client) -> None:
    kept("cart-1", destination="de")
    kept("cart-1", destination="fr")
    response = viewer.get(f"{EVENTS}?q=cart-1")
    assert [row.destination for row in response.context["cl"].result_list] == ["fr", "de"]
    text = response.content.decode()
    assert '<td class="field-destination">fr</td>' in text
    assert '<td class="field-destination">de</td>' in text


def test_messages_are_those_of_the_one(viewer: Client) -> None:
    kept("cart-1", destination="de", last_error="of de")
    kept("cart-2", destination="fr", last_error="of fr")
    text = html(viewer, f"{EVENTS}?destination=fr")
    assert "of fr (1)" in text
    assert "of de (1)" not in text


def test_what_is_looked_through_is_a_window_as_ever(viewer: Client) -> None:
    for number in range(6):
        kept(f"cart-{number}", destination="de" if number % 2 else "fr")
    # The small site looks through a few at a time.
    found = viewer.get(f"{SMALL}?destination=fr").context["cl"]
    assert found.window is not None
    seen = [row.event_id for row in found.result_list]
    while found.window.older:
        found = viewer.get(f"{SMALL}{found.window.older}").context["cl"]
        seen += [row.event_id for row in found.result_list]
    assert seen == ["cart-4", "cart-2", "cart-0"]
    found = viewer.get(f"{SMALL}?destination=fr&state=rejected").context["cl"]
    assert found.window is None
    assert len(found.result_list) == 3


def test_actions_are_for_what_is_listed(operator: Client) -> None:
    kept("cart-1", destination="de")
    kept("cart-2", destination="fr")
    act(operator, "resend", url=f"{EVENTS}?state=rejected&destination=fr")
    rows = OutboxEvent.objects.order_by("event_id").values_list("event_id", "state")
    assert list(rows) == [("cart-1", State.REJECTED), ("cart-2", State.PENDING)]


def test_what_is_discarded_is_counted_for_its_destination(operator: Client) -> None:
    rows = [kept("cart-1", destination=name, event_type="HOME") for name in ("de", "fr")]
    act(operator, "discard", *rows, url=f"{EVENTS}?q=cart-1", confirmed="yes")
    for name in ("de", "fr"):
        assert Counts("default", name).totals() == {("HOME", "dropped"): 1}


def test_an_event_and_its_export_tell_where_it_goes(operator: Client) -> None:
    row = kept("cart-1", destination="fr")
    assert '<div class="readonly">fr</div>' in html(operator, page(row))
    # The page's own buttons find it in the list.
    assert f'action="{EVENTS}?destination=fr"' in html(operator, page(row))
    (line,) = lines(act(operator, "export", row, url=f"{EVENTS}?destination=fr"))
    assert line["destination"] == "fr"


def test_an_event_that_was_corrected_goes_where_it_was_to_go(operator: Client) -> None:
    record("cart-1", to="fr")
    OutboxEvent.objects.update(state=State.REJECTED)
    row = OutboxEvent.objects.get()
    text = html(operator, page(row, "correct"))
    seen = text.split('name="seen" value="')[1].split('"')[0]
    operator.post(page(row, "correct"), {"seen": seen, "body": row.payload})
    row.refresh_from_db()
    assert (row.state, row.destination) == (State.PENDING, "fr")
