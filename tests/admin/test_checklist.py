"""The integration checklist: ticked off from what was delivered, with advice for each gap."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client, override_settings

from django_moloco_rmp.counts import HOUR
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import Gate as GateRow
from tests.admin.pages import CHECKLIST, count

pytestmark = [pytest.mark.urls("tests.admin.urls"), pytest.mark.django_db]

ALL = (
    "HOME",
    "PAGE_VIEW",
    "ITEM_PAGE_VIEW",
    "ADD_TO_CART",
    "ADD_TO_WISHLIST",
    "SEARCH",
    "PURCHASE",
)


def ticks(client: Client) -> dict[str, dict[str, Any]]:
    response = client.get(CHECKLIST)
    assert response.status_code == 200
    return {str(tick["title"]): tick for tick in response.context["ticks"]}


def finding(client: Client, title: str) -> Any:
    found = client.get(CHECKLIST).context["findings"]
    return next(each for each in found if each.title == title)


def test_nothing_delivered(viewer: Client) -> None:
    found = ticks(viewer)
    assert len(found) == 9
    assert {tick["state"] for tick in found.values()} == {"open", "look"}
    assert all(tick["advice"] for tick in found.values())
    text = viewer.get(CHECKLIST).content.decode()
    assert "0 delivered, 8 to go" in text
    assert "nothing to measure" in text


def test_everything_delivered(viewer: Client) -> None:
    for name in ALL:
        count(name, "delivered", 12, hours_ago=3, with_page_id=12, with_referrer=2)
        count(name, "delivered", 1000, hours_ago=5, with_page_id=1000)
    found = ticks(viewer)
    look = found.pop("Search in a category")
    assert look["state"] == "look"
    for tick in found.values():
        assert (tick["state"], tick["seen"], tick["advice"]) == ("done", "3\xa0hours ago", "")
    assert (found["Home"]["count"], found["Home"]["example"]) == ("1,012", "HOME-3")
    # Which event of the hour had the referrer is not known.
    referrer = found["Item page view with a referrer"]
    assert (referrer["count"], referrer["example"]) == ("2", "")


@pytest.mark.parametrize(
    ("title", "event_type", "columns"),
    [
        ("Page view", "PAGE_VIEW", {"with_referrer": 4}),
        ("Item page view with a referrer", "ITEM_PAGE_VIEW", {"with_page_id": 4}),
    ],
)
def test_what_is_incomplete_is_not_ticked_off(
    viewer: Client, title: str, event_type: str, columns: dict[str, int]
) -> None:
    count(event_type, "delivered", 4, **columns)
    assert ticks(viewer)[title]["state"] == "open"


def test_only_what_was_delivered_counts(viewer: Client) -> None:
    for outcome in ("rejected", "retried", "dropped"):
        count("HOME", outcome, 4)
    assert ticks(viewer)["Home"]["state"] == "open"


def test_coverage(viewer: Client) -> None:
    count("HOME", "delivered", 150, with_persistent_id=150, with_page_id=150)
    count(
        *("PURCHASE", "delivered", 50),
        with_user_id=50,
        with_persistent_id=49,
        with_both=49,
        with_page_id=20,
    )
    context = viewer.get(CHECKLIST).context
    found = {measure.name: measure for measure in context["measures"]}
    texts = {name: measure.text for name, measure in found.items()}
    assert texts == {
        "with_user_id": "25 %",
        "with_persistent_id": "more than 99 %",
        "with_both": "24 %",
        "with_page_id": "85 %",
        "with_referrer": "0 %",
    }
    assert {name for name, measure in found.items() if measure.advice} == {
        "with_page_id",
        "with_referrer",
    }
    assert [(row["name"], row["shares"][0]) for row in context["types"]] == [
        ("HOME", "0 %"),
        ("PURCHASE", "100 %"),
    ]


def test_missing_identifiers_are_advised_on(viewer: Client) -> None:
    count("HOME", "delivered", 10, with_page_id=10, with_referrer=1)
    measures = viewer.get(CHECKLIST).context["measures"]
    advice = {measure.name: measure.advice for measure in measures}
    assert "USER_ID" in advice["with_user_id"]
    assert "PERSISTENT_ID_COOKIE" in advice["with_persistent_id"]
    assert advice["with_both"]
    assert not advice["with_page_id"]


def test_browsers_that_send_no_cookie_back_are_advised_on(viewer: Client) -> None:
    count("HOME", "delivered", 100, with_user_id=1, with_persistent_id=80)
    measures = viewer.get(CHECKLIST).context["measures"]
    advice = {measure.name: measure.advice for measure in measures}
    assert advice["with_persistent_id"].startswith("Some browsers send no cookie back")
    assert advice["with_user_id"] == ""


@pytest.mark.parametrize(
    ("sample", "tone"),
    [
        ((0, 0, 0), "quiet"),
        ((10, 1, 10), "quiet"),
        ((500, 312, 14), "good"),
        ((500, 40, 200), "warning"),
        ((500, 1, 500), "warning"),
    ],
)
def test_one_identifier_for_many_shoppers(
    viewer: Client, sample: tuple[int, int, int], tone: str
) -> None:
    Gate("default").look()
    names = ("sample_events", "sample_identifiers", "sample_most")
    GateRow.objects.update(**dict(zip(names, sample, strict=True)))
    found = finding(viewer, "Events per identifier")
    assert found.tone == tone
    assert bool(found.advice) is (tone == "warning")


@pytest.mark.parametrize(
    ("columns", "tone", "text"),
    [
        ({}, "quiet", "No event was accepted yet."),
        ({"last_success_at": HOUR}, "quiet", "Moloco accepts the key with it."),
        (
            {"last_success_at": HOUR, "reason": "configuration", "failures": 6},
            "bad",
            "The last calls were refused.",
        ),
    ],
)
def test_platform_id_and_key(viewer: Client, columns: dict[str, Any], tone: str, text: str) -> None:
    Gate("default").look()
    GateRow.objects.update(**columns)
    found = finding(viewer, "Platform id and API key")
    assert found.tone == tone
    assert found.text.startswith("SHOP_TEST is a test platform")
    assert text in found.text
    key = django_settings.MOLOCO_RMP["API_KEY"]
    assert key not in viewer.get(CHECKLIST).content.decode()


def test_a_production_platform(viewer: Client) -> None:
    Gate("default").look()
    GateRow.objects.update(last_success_at=HOUR)
    with override_settings(MOLOCO_RMP={"PLATFORM_ID": "SHOP", "API_KEY": "k"}):
        found = finding(viewer, "Platform id and API key")
    assert (found.tone, found.advice) == ("good", "")
    assert "SHOP is a production platform" in found.text


def test_an_address_of_the_shops_own_is_mentioned(viewer: Client) -> None:
    text = "BASE_URL sends events to an address of your own."
    assert text not in finding(viewer, "Platform id and API key").text
    base_url = {**django_settings.MOLOCO_RMP, "BASE_URL": "http://127.0.0.1:8010"}
    with override_settings(MOLOCO_RMP=base_url):
        assert text in finding(viewer, "Platform id and API key").text


@override_settings(MOLOCO_RMP=None)
def test_settings_at_fault(viewer: Client) -> None:
    assert finding(viewer, "Platform id and API key").tone == "bad"
