"""Sites of a project's own, other time zones and languages, and a database of our own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client, override_settings

from django_moloco_rmp.models import OutboxEvent
from tests.admin.pages import CHECKLIST, DASHBOARD, EVENTS, SMALL, act, count, kept, page, states

pytestmark = [pytest.mark.urls("tests.admin.urls"), pytest.mark.django_db]


def test_a_site_with_events_only(operator: Client) -> None:
    """Its pages stay on that site, and miss nothing of the others."""
    row = kept("cart-1")
    for name in ("", f"{row.pk}/change/", f"{row.pk}/correct/", f"{row.pk}/history/"):
        response = operator.get(SMALL + name)
        assert response.status_code == 200
        assert "/admin/" not in re.sub(
            r'(?:src|href)="/static/[^"]*"', "", response.content.decode()
        )
    response = act(operator, "resend", row, url=SMALL)
    assert response.url == SMALL
    assert states() == {"cart-1": OutboxEvent.State.PENDING}


@pytest.mark.parametrize("path", ["gates/moloco_rmp/gate/", "counts/moloco_rmp/hourlycount/"])
def test_a_site_with_one_page_links_to_no_other(viewer: Client, path: str) -> None:
    kept("cart-1")
    count("HOME", "delivered", 3)
    response = viewer.get(f"/{path}")
    assert response.status_code == 200
    links = re.findall(r'href="([^"]*/moloco_rmp/[^"]*)"', response.content.decode())
    pages = [link for link in links if not link.startswith("/static/")]
    assert set(pages) <= {f"/{path}", f"/{path.split('/')[0]}/moloco_rmp/"}


@override_settings(USE_TZ=False)
def test_without_time_zones(operator: Client) -> None:
    row = kept("cart-1")
    kept("cart-2", OutboxEvent.State.PENDING)
    count("HOME", "delivered", 3)
    for url in (
        *(EVENTS, f"{EVENTS}?age=hour", f"{EVENTS}?age=older&type=HOME", DASHBOARD, CHECKLIST),
        *(f"{DASHBOARD}?period=week", page(row), page(row, "correct")),
    ):
        assert operator.get(url).status_code == 200
    # Not hours, by which time zones are apart.
    assert re.search(r"just now|\d seconds? ago", operator.get(EVENTS).content.decode())
    act(operator, "resend", row)
    assert set(states().values()) == {OutboxEvent.State.PENDING}
    act(operator, "discard", confirmed="yes")
    assert states() == {}


@pytest.mark.parametrize("language", ["de", "ar", "fr"])
def test_in_other_languages(operator: Client, language: str) -> None:
    row = kept("cart-1")
    count("HOME", "delivered", 1234567)
    with override_settings(LANGUAGE_CODE=language, USE_THOUSAND_SEPARATOR=True):
        for url in (EVENTS, DASHBOARD, f"{DASHBOARD}?period=week", CHECKLIST, page(row)):
            assert operator.get(url).status_code == 200
        # Keys in forms are numbers, not numbers for people.
        OutboxEvent.objects.filter(pk=row.pk).update(id=1234567)
        text = operator.get(f"{EVENTS}1234567/change/").content.decode()
        assert 'name="_selected_action" value="1234567"' in text


class EventsRouter:
    """Events in a database of their own."""

    def db_for_read(self, model: Any, **_: Any) -> str | None:
        return "other" if model._meta.app_label == "moloco_rmp" else None

    db_for_write = db_for_read


@pytest.mark.django_db(databases=["default", "other"])
@override_settings(DATABASE_ROUTERS=["tests.admin.test_sites.EventsRouter"])
def test_events_in_a_database_of_their_own(operator: Client) -> None:
    row = kept("cart-1")
    other = kept("cart-2")
    assert OutboxEvent.objects.using("other").count() == 2
    for url in (EVENTS, f"{EVENTS}?type=HOME", DASHBOARD, CHECKLIST, page(row)):
        assert operator.get(url).status_code == 200
    act(operator, "resend", row)
    act(operator, "discard", other, confirmed="yes")
    assert states() == {"cart-1": OutboxEvent.State.PENDING}
    assert OutboxEvent.objects.using("default").count() == 0
    assert operator.get(DASHBOARD).context["figures"].tiles[3].figure == "1"
