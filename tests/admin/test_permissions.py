"""Who gets to see and to do what: anonymous, staff without permission, viewer and operator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from django_moloco_rmp.admin.correction import version
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.protocol import State
from tests.admin.pages import CHECKLIST, DASHBOARD, EVENTS, SECRET, act, kept, page

pytestmark = [pytest.mark.urls("tests.admin.urls"), pytest.mark.django_db]

PAGES = {
    "dashboard": DASHBOARD,
    "fragment": f"{DASHBOARD}?fragment=1",
    "checklist": CHECKLIST,
    "list": EVENTS,
    "detail": f"{EVENTS}{{pk}}/change/",
    "history": f"{EVENTS}{{pk}}/history/",
    "correction": f"{EVENTS}{{pk}}/correct/",
}
TO_LOGIN, FORBIDDEN, OK = 302, 403, 200


@pytest.mark.parametrize("role", [None, "nobody", "viewer", "operator"])
def test_who_sees_a_page(sign_in: Callable[..., Client], role: str | None) -> None:
    row = kept("cart-1")
    client = sign_in(role)
    for name, path in PAGES.items():
        response = client.get(path.format(pk=row.pk))
        if role is None:
            assert response.status_code == TO_LOGIN
            assert response.url.startswith("/admin/login/?next=/admin/moloco_rmp/")
        elif role == "nobody" or (role == "viewer" and name == "correction"):
            assert response.status_code == FORBIDDEN, name
        else:
            assert response.status_code == OK, name


@pytest.mark.parametrize("operation", ["pause", "resume", "probe"])
@pytest.mark.parametrize("role", [None, "nobody", "viewer", "operator"])
def test_who_operates_the_circuit(
    sign_in: Callable[..., Client], role: str | None, operation: str
) -> None:
    response = sign_in(role).post(f"{DASHBOARD}{operation}/")
    expected = {None: TO_LOGIN, "operator": TO_LOGIN}.get(role, FORBIDDEN)
    assert response.status_code == expected
    assert LogEntry.objects.count() == (role == "operator")
    is_paused = role == "operator" and operation == "pause"
    assert (Gate("default").look().circuit.state is State.PAUSED) is is_paused


@pytest.mark.parametrize("action", ["resend", "discard", "export"])
@pytest.mark.parametrize("role", [None, "nobody", "viewer", "operator"])
def test_who_acts_on_events(sign_in: Callable[..., Client], role: str | None, action: str) -> None:
    row = kept("cart-1")
    client = sign_in(role)
    response = act(client, action, row, confirmed="yes")
    row_now = OutboxEvent.objects.filter(pk=row.pk).first()
    if role == "operator":
        assert response.status_code == (OK if action == "export" else 302)
        state = None if row_now is None else row_now.state
        assert state == {"resend": 0, "discard": None, "export": 2}[action]
        assert LogEntry.objects.count() == 1
    else:
        assert row_now is not None
        assert row_now.state == OutboxEvent.State.REJECTED
        assert LogEntry.objects.count() == 0
        # For whom there is no action, Django shows the list.
        assert response.status_code == {None: TO_LOGIN, "nobody": FORBIDDEN, "viewer": OK}[role]
        assert not response.streaming


@pytest.mark.parametrize("role", [None, "nobody", "viewer", "operator"])
def test_who_corrects_an_event(sign_in: Callable[..., Client], role: str | None) -> None:
    row = kept("cart-1")
    changed = row.payload.replace("lamp", "sofa")
    response = sign_in(role).post(
        page(row, "correct"), {"body": changed, "seen": version(row.payload)}
    )
    assert response.status_code == (TO_LOGIN if role in {None, "operator"} else FORBIDDEN)
    row.refresh_from_db()
    is_changed = role == "operator"
    assert (row.payload == changed, row.state == OutboxEvent.State.PENDING) == (is_changed,) * 2
    assert LogEntry.objects.count() == is_changed


@pytest.mark.parametrize(
    ("permission", "offered"),
    [
        ("resend_event", {"resend"}),
        ("discard_event", {"discard"}),
        ("view_event_body", {"export"}),
        ("correct_event", set()),
    ],
)
def test_each_permission_offers_what_it_is_for(
    sign_in: Callable[..., Client], permission: str, offered: set[str]
) -> None:
    row = kept("cart-1")
    client = sign_in("viewer", permission)
    form = client.get(EVENTS).context["action_form"]
    names = {name for name, _ in form.fields["action"].choices if name} if form else set()
    assert names == offered
    text = client.get(page(row)).content.decode()
    buttons = {name for name in ("resend", "discard", "export") if f'value="{name}"' in text}
    assert buttons == offered
    # To correct an event one has to see it.
    assert page(row, "correct") not in text
    assert client.get(page(row, "correct")).status_code == FORBIDDEN


@pytest.mark.parametrize("url", ["list", "correct", "pause"])
def test_a_form_without_its_token_does_nothing(sign_in: Callable[..., Client], url: str) -> None:
    row = kept("cart-1")
    client = sign_in("operator", enforce_csrf_checks=True)
    target = {"list": EVENTS, "correct": page(row, "correct"), "pause": f"{DASHBOARD}pause/"}[url]
    response = act(client, "resend", row, url=target)
    assert response.status_code == FORBIDDEN
    row.refresh_from_db()
    assert row.state == OutboxEvent.State.REJECTED
    assert not Gate("default").look().circuit.paused


@pytest.mark.parametrize("operation", ["pause", "resume", "probe"])
def test_buttons_are_no_links(operator: Client, operation: str) -> None:
    assert operator.get(f"{DASHBOARD}{operation}/").status_code == 405


@pytest.mark.parametrize("url", ["add/", "{pk}/delete/"])
def test_nobody_adds_or_deletes(sign_in: Callable[..., Client], url: str) -> None:
    row = kept("cart-1")
    client = sign_in("operator", "add_outboxevent", "delete_outboxevent", "change_outboxevent")
    assert client.get(EVENTS + url.format(pk=row.pk)).status_code == FORBIDDEN
    assert client.post(EVENTS + url.format(pk=row.pk), {"post": "yes"}).status_code == FORBIDDEN
    client.post(page(row), {"event_id": "other", "payload": "{}"})
    row.refresh_from_db()
    assert row.event_id == "cart-1"


def test_bodies_and_identifiers_are_for_those_who_may_see_them(
    viewer: Client, operator: Client
) -> None:
    row = kept("cart-1", last_error=f"user_id {SECRET} is unknown")
    for url in (page(row), EVENTS, f"{EVENTS}?state=rejected", DASHBOARD):
        assert SECRET[:20] not in viewer.get(url).content.decode()
    assert "unknown" in viewer.get(page(row)).content.decode()
    text = operator.get(page(row)).content.decode()
    assert text.count(SECRET) == 2
    assert SECRET[:32] in text


def test_pages_link_to_each_other_only_where_one_may_go(
    sign_in: Callable[..., Client],
) -> None:
    kept("cart-1")
    client = sign_in("nobody", "view_gate")
    text = client.get(DASHBOARD).content.decode()
    assert EVENTS not in text
    assert "items[…].price is wrong" in text


def test_the_index_links_to_the_pages(viewer: Client) -> None:
    for url in ("/admin/", "/admin/moloco_rmp/"):
        text = viewer.get(url).content.decode()
        for target in (DASHBOARD, CHECKLIST, EVENTS):
            assert f'href="{target}"' in text
