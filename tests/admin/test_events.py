"""The list of kept events and the page of one: what is found, and how it is shown."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from django_moloco_rmp.admin.grouping import grouped
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from tests.admin.pages import EVENTS, SMALL, kept, page, shown
from tests.outbox.samples import record_many

pytestmark = [pytest.mark.urls("tests.admin.urls"), pytest.mark.django_db]

State = OutboxEvent.State


def listed(client: Client, query: str, url: str = EVENTS) -> list[str]:
    response = client.get(url + query)
    assert response.status_code == 200
    return shown(response)


def test_each_status_of_a_refused_event_has_one_choice(viewer: Client) -> None:
    statuses = [*range(300, 309), *range(400, 500), 500, 599]
    for status in statuses:
        kept(f"cart-{status}", last_status=status)
    found: list[int] = []
    for choice in ["400", "413", "422", "429", "401-405", "5xx", "4xx", "3xx"]:
        rows = viewer.get(f"{EVENTS}?status={choice}").context["cl"].queryset
        found += rows.values_list("last_status", flat=True)
    assert sorted(found) == statuses


def test_filters(viewer: Client) -> None:
    kept("waits", State.PENDING, event_type="HOME")
    kept("retried", State.PENDING, event_type="HOME", last_status=503)
    kept("refused", event_type="PURCHASE")
    kept("sent", State.SENT, payload="")
    old = kept("old", event_type="PURCHASE", last_status=413)
    OutboxEvent.objects.filter(pk=old.pk).update(created_at=DatabaseNow() - timedelta(days=8))
    for query, expected in {
        "": {"waits", "retried", "refused", "sent", "old"},
        "?state=pending": {"waits", "retried"},
        "?state=sent": {"sent"},
        "?type=PURCHASE": {"refused", "old"},
        "?status=400": {"refused"},
        "?status=5xx": {"retried"},
        "?status=none": {"waits", "sent"},
        "?age=hour": {"waits", "retried", "refused", "sent"},
        "?age=older": {"old"},
        "?state=rejected&type=PURCHASE&age=older&status=413": {"old"},
        "?state=rejected&type=HOME": set(),
    }.items():
        assert set(listed(viewer, query)) == expected, query


def test_the_newest_come_first(viewer: Client) -> None:
    for number in range(3):
        kept(f"cart-{number}")
    assert listed(viewer, "") == ["cart-2", "cart-1", "cart-0"]


def test_messages_that_are_alike_are_one_group(viewer: Client) -> None:
    for number in range(3):
        kept(f"price-{number}", last_error=f"items[{number}].price is wrong")
    kept("page", last_error="page_id is missing")
    kept("same words, other status", last_error="page_id is missing", last_status=422)
    kept("waits", State.PENDING, last_error="page_id is missing")
    response = viewer.get(EVENTS)
    spec = response.context["cl"].filter_specs[-1]
    labels = [(str(label), key) for key, label in spec.lookup_choices]
    assert sorted(label for label, _ in labels) == [
        "items[…].price is wrong (3)",
        "page_id is missing (1)",
        "page_id is missing (1)",
    ]
    key = dict(labels)["items[…].price is wrong (3)"]
    assert set(listed(viewer, f"?message={key}")) == {"price-0", "price-1", "price-2"}
    assert set(listed(viewer, "?message=unknown")) == set(
        OutboxEvent.objects.values_list("event_id", flat=True)
    )


def test_only_the_commonest_messages_are_offered_and_the_one_chosen(viewer: Client) -> None:
    for name in "abcdefghij":
        for number in range(2):
            kept(f"{name}-{number}", last_error=f"fault {name}")
    kept("k", last_error="fault k")
    (rare,) = grouped(OutboxEvent.objects.filter(event_id="k")).groups

    def offered(query: str) -> list[str]:
        spec = viewer.get(EVENTS + query).context["cl"].filter_specs[-1]
        return [str(label) for _, label in spec.lookup_choices]

    common = [f"fault {name} (2)" for name in "abcdefghij"]
    assert sorted(offered("")) == common
    assert sorted(offered(f"?message={rare.key}")) == [*common, "fault k (1)"]
    assert listed(viewer, f"?message={rare.key}") == ["k"]


def test_of_a_message_with_too_many_variants_the_newest_are_found(viewer: Client) -> None:
    record_many(
        502, state=State.REJECTED, last_status=400, finished_at=DatabaseNow() - timedelta(hours=1)
    )
    for row in OutboxEvent.objects.all():
        row.last_error = f"items[{row.pk}] is unknown"
        row.save(update_fields=["last_error"])
    newest = kept("newest", last_error="items[0] is unknown")
    (group,) = grouped(OutboxEvent.objects.all()).groups
    assert group.count == 503
    response = viewer.get(f"{EVENTS}?message={group.key}")
    assert response.context["cl"].result_count == 500
    assert newest.event_id in shown(response)


def test_search_by_event_id_finds_it_however_old(viewer: Client) -> None:
    for number in range(9):
        kept(f"cart-{number}")
    assert listed(viewer, "?q=cart-0", SMALL) == ["cart-0"]
    assert listed(viewer, "?q=+cart-0+", SMALL) == ["cart-0"]
    # Case matters, and a part is no id.
    assert listed(viewer, "?q=cart", SMALL) == []


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("CATEGORY", {"lamps", "odd"}),
        ("CATEGORY:lamps", {"lamps"}),
        ('CATEGORY:"%_\\', {"odd"}),
        ("amps", set()),
        ("HOME", {"home"}),
        # Nothing but a page id is looked at, whatever one writes.
        ('HOME","user_id":"', set()),
        ("SEARCH", set()),
        ("_ATEGORY", set()),
    ],
)
def test_search_by_the_beginning_of_a_page_id(
    viewer: Client, term: str, expected: set[str]
) -> None:
    for name, page_id in {
        "lamps": "CATEGORY:lamps",
        "odd": 'CATEGORY:"%_\\ é',
        "home": "HOME",
    }.items():
        kept(name, fields={"page_id": page_id, "referrer_page_id": "SEARCH"})
    response = viewer.get(EVENTS, {"q": term})
    assert set(shown(response)) == expected


def test_what_no_index_finds_is_looked_for_in_a_window_that_moves(viewer: Client) -> None:
    for number in range(10):
        kept(f"cart-{number}", event_type="HOME" if number % 2 else "PURCHASE")
    response = viewer.get(f"{SMALL}?type=HOME&state=rejected")
    seen = [shown(response)]
    while response.context["cl"].window.older:
        assert "events only" in response.content.decode()
        response = viewer.get(SMALL + response.context["cl"].window.older)
        seen.append(shown(response))
    assert seen == [["cart-9", "cart-7"], ["cart-5", "cart-3"], ["cart-1"]]
    assert shown(viewer.get(SMALL + response.context["cl"].window.newer)) == seen[0]
    # Without such a filter all are listed, and there is no window.
    assert len(listed(viewer, "?state=rejected", SMALL)) == 10


@pytest.mark.parametrize("state", ["", "&state=rejected"])
def test_windows_neither_skip_nor_repeat_events_of_the_same_moment(
    viewer: Client, state: str
) -> None:
    for number in range(9):
        kept(f"cart-{number}")
    OutboxEvent.objects.update(available_at=DatabaseNow())
    response = viewer.get(f"{SMALL}?type=ADD_TO_CART{state}")
    seen = shown(response)
    while response.context["cl"].window.older:
        response = viewer.get(SMALL + response.context["cl"].window.older)
        seen += shown(response)
    assert seen == [f"cart-{number}" for number in range(8, -1, -1)]


def test_counts_end_at_a_limit(viewer: Client) -> None:
    OutboxEvent.objects.bulk_create(
        OutboxEvent(event_id=f"cart-{number}", event_type="HOME", payload="{}", state=0)
        for number in range(10_002)
    )
    response = viewer.get(EVENTS)
    assert "more than 10,000 events" in response.content.decode()
    last = viewer.get(f"{EVENTS}?p=999999")
    assert len(shown(last)) == 50
    assert last.context["cl"].paginator.num_pages == 200


def test_the_list_costs_so_many_queries(viewer: Client, django_assert_num_queries: Any) -> None:
    for number in range(60):
        kept(f"cart-{number}")
    viewer.get(EVENTS)
    # Session, user, permissions twice; then messages, the
    # destinations, count and rows.
    with django_assert_num_queries(10):
        viewer.get(EVENTS)
    # And where the window ends.
    with django_assert_num_queries(11):
        viewer.get(f"{EVENTS}?type=HOME")


def test_one_event(operator: Client) -> None:
    row = kept("cart-1", fields={"page_id": "CATEGORY:lamps"})
    text = operator.get(page(row)).content.decode()
    assert "rejected" in text
    assert "items[0].price is wrong" in text
    assert "&quot;page_id&quot;: &quot;CATEGORY:lamps&quot;," in text
    assert "None" not in operator.get(page(kept("cart-2", State.PENDING))).content.decode()
    # Nothing to type into but the hidden fields of the buttons.
    assert "<textarea" not in text
    assert 'name="_save"' not in text


@pytest.mark.parametrize(
    ("columns", "badge", "due"),
    [
        ({}, "pending", "now"),
        ({"available_at": DatabaseNow() + timedelta(minutes=90)}, "pending", "in 1\xa0hour, "),
        (
            {"available_at": DatabaseNow() + timedelta(minutes=90), "last_error": "no answer"},
            "to be tried again",
            "in 1\xa0hour, ",
        ),
        (
            {"available_at": DatabaseNow() + timedelta(minutes=90), "lease_token": "a relay's"},
            "being sent",
            "being sent; if nothing comes of that, in 1\xa0hour, ",
        ),
        ({"lease_token": "a relay's that was killed"}, "pending", "now"),
        ({"state": State.REJECTED}, "rejected", "none: rejected "),
        ({"state": State.SENT}, "sent", "none: delivered "),
        # By hand, in the database.
        ({"state": State.REJECTED, "finished_at": None}, "rejected", ""),
    ],
)
def test_where_an_event_stands(
    viewer: Client, columns: dict[str, Any], badge: str, due: str
) -> None:
    row = kept("cart-1", **{"state": State.PENDING, **columns})
    text = viewer.get(page(row)).content.decode()
    (state,) = re.findall(r'<span class="moloco-badge moloco-\w+">([^<]*)</span>', text)
    (told,) = re.findall(r'field-due.*?<div class="readonly">(.*?)</div>', text, re.S)
    assert state == badge
    assert told.startswith(due)
    assert bool(told) is bool(due)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("plain <b>text</b>", "plain &lt;b&gt;text&lt;/b&gt;"),
        ("[" * 10_000, "[[[["),
        ('{"a": 1e999}', "1e999"),
        ("9" * 5000, "9999"),
        ('{"a": "\\ud800"}', "\\ud800"),
        ("\u202e{", "\u202e{"),
        ('{"a": NaN}', "NaN"),
        ('"text"', "&quot;text&quot;"),
    ],
)
def test_a_body_that_is_odd_is_shown_all_the_same(
    operator: Client, payload: str, expected: str
) -> None:
    row = kept("cart-1", payload=payload)
    response = operator.get(page(row))
    assert response.status_code == 200
    assert expected in response.content.decode()
    assert operator.get(page(row, "correct")).status_code == 200


def test_markup_is_text_everywhere(operator: Client) -> None:
    script = "<script>alert(1)</script>"
    row = kept(
        f"cart-{script}",
        event_type="<script>"[:32],
        last_error=f"{script} is no product",
        payload=json.dumps({"items": [{"id": script}], "page_id": script}),
    )
    OutboxEvent.objects.filter(pk=row.pk).update(identifier="<script>")
    for url in (
        *(EVENTS, f"{EVENTS}?q={script}", f"{EVENTS}?state={script}", f"{EVENTS}?{script}=1"),
        *(page(row), page(row, "correct"), page(row, "history")),
        *("/admin/moloco_rmp/gate/", "/admin/moloco_rmp/gate/?period=<script>"),
    ):
        response = operator.get(url)
        assert response.status_code == 200
        assert "<script>" not in response.content.decode(), url


def test_delivered_ids_have_no_body_to_show(operator: Client) -> None:
    row = kept("order-1", State.SENT, payload="")
    text = operator.get(page(row)).content.decode()
    assert "only its id is" in text
    assert 'value="discard"' not in text


@pytest.mark.parametrize("name", ["change", "history", "correct"])
def test_an_event_that_is_not_there(operator: Client, name: str) -> None:
    for key in ("0", "x", "-1", "1.5", "9" * 30, "%00", "a%2Fb", "\uff11"):
        assert operator.get(f"{EVENTS}{key}/{name}/").status_code == 302, key
