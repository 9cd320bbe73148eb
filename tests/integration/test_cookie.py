"""The browser's cookie: when it is set, how, and that it makes one shopper of many visits."""

from __future__ import annotations

from http.cookies import Morsel
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client, override_settings

from django_moloco_rmp.events import Event
from django_moloco_rmp.identity import is_browser_id
from django_moloco_rmp.testing import capture_events
from tests.integration.visits import configured, drop_reasons, event_of, events_of, get

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.shopper_urls")]

VALID = "0123456789abcdef" * 2


def cookie_of(response: Any) -> Morsel[str]:
    (cookie,) = response.cookies.values()
    return cookie


def test_the_cookie_is_first_party_and_out_of_reach_of_scripts(client: Client) -> None:
    cookie = cookie_of(get(client, "/emit/"))
    assert cookie.key == "moloco_pid"
    assert is_browser_id(cookie.value)
    present = {name: value for name, value in cookie.items() if value and name != "expires"}
    assert present == {
        "httponly": True,
        "samesite": "Lax",
        "max-age": 400 * 24 * 3600,
        "path": "/",
    }


def test_over_https_the_cookie_is_secure(client: Client) -> None:
    assert cookie_of(get(client, "/emit/", secure=True))["secure"]


@override_settings(MIDDLEWARE=["django_moloco_rmp.middleware.MolocoMiddleware"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_response_that_sets_the_cookie_varies_by_it(
    kind: type[Client],
) -> None:
    visitor = kind()
    assert get(visitor, "/emit/")["Vary"] == "Cookie"
    # Now that it is there, the response is the same for all.
    assert "Vary" not in get(visitor, "/emit/").headers
    # Unless it holds the shopper's identifiers, maybe.
    assert get(visitor, "/identifiers/")["Vary"] == "Cookie"


@configured(ENABLED=False)
def test_where_the_app_is_off_nobody_is_identified(client: Client) -> None:
    response = get(client, "/identifiers/")
    assert response.json() == {}
    assert not response.cookies


@pytest.mark.parametrize(
    "path",
    [
        "/emit/",
        "/emit/?times=2",
        "/emit-async/",
        "/emit-from-template-async/",
        "/identifiers/",
        "/identifiers-async/",
        "/freeze/",
        "/freeze-async/",
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_each_use_of_the_identifiers_sets_the_cookie_once(kind: type[Client], path: str) -> None:
    visitor = kind()
    assert cookie_of(get(visitor, path)).key == "moloco_pid"
    assert not get(visitor, path).cookies


@configured(RAISE_ERRORS=False)
def test_an_event_that_was_invalid_sets_no_cookie(client: Client) -> None:
    with drop_reasons() as reasons:
        assert not get(client, "/emit-invalid/").cookies
    assert reasons == ["invalid"]


def test_an_event_that_was_known_already_sets_no_cookie(client: Client) -> None:
    assert get(client, "/emit-known/").cookies
    assert not get(Client(), "/emit-known/").cookies


def test_one_browser_is_one_shopper(client: Client) -> None:
    events = [*events_of(client, "/emit/?times=2"), *events_of(client, "/emit-async/")]
    assert len(events) == 3
    assert len({event.device.persistent_id for event in events}) == 1


def streamed(client: Client, query: str = "") -> tuple[list[Event], list[str], Any]:
    """What is reported while a response is streamed, what is dropped, and the response."""
    with capture_events() as events, drop_reasons() as reasons:
        response = get(client, f"/emit-in-stream/{query}")
        assert response.getvalue() == b"streamed"
    return events, reasons, response


def test_while_a_response_is_streamed_it_is_too_late_for_a_new_browser(client: Client) -> None:
    events, reasons, response = streamed(client)
    assert (events, reasons) == ([], ["unidentified"])
    assert not response.cookies


def test_while_a_response_is_streamed_the_session_stands_in_for_a_new_browser(
    client: Client,
) -> None:
    get(client, "/start-session/")
    ((event,), _, response) = streamed(client)
    assert event.device.persistent_id is None
    assert event.custom_id is not None
    assert not response.cookies


def test_while_a_response_is_streamed_a_known_browser_is_known(client: Client) -> None:
    before = event_of(client)
    ((event,), _, _) = streamed(client)
    assert event.device.persistent_id == before.device.persistent_id


def test_a_cookie_set_in_time_counts_while_the_response_is_streamed(client: Client) -> None:
    ((before, during), _, response) = streamed(client, "?before")
    assert cookie_of(response)
    assert before.device.persistent_id == during.device.persistent_id is not None
    assert event_of(client).device.persistent_id == during.device.persistent_id


def test_two_browsers_are_two_shoppers() -> None:
    first, second = event_of(Client()), event_of(Client())
    assert first.device.persistent_id != second.device.persistent_id


def test_the_browser_stays_the_same_over_a_login(client: Client) -> None:
    User.objects.create_user("ada")
    before = event_of(client)
    during = events_of(client, "/emit-and-sign-in/")
    after = event_of(client)
    assert {event.device.persistent_id for event in (before, *during, after)} == {
        before.device.persistent_id
    }
    assert before.user_id is None
    assert after.user_id is not None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="blank"),
        pytest.param(VALID[:-1], id="too short"),
        pytest.param(VALID + "0", id="too long"),
        pytest.param("0" * 4000, id="far too long"),
        pytest.param(VALID.upper(), id="in upper case"),
        pytest.param("g" * 32, id="not hexadecimal"),
        pytest.param("\xff" * 32, id="not even ASCII"),
        pytest.param("../../etc/passwd", id="a path"),
    ],
)
def test_a_cookie_that_is_none_of_ours_is_replaced(client: Client, value: str) -> None:
    client.cookies["moloco_pid"] = value
    cookie = cookie_of(get(client, "/emit/"))
    assert is_browser_id(cookie.value)
    assert not get(client, "/emit/").cookies


def test_a_cookie_of_ours_is_kept(client: Client) -> None:
    client.cookies["moloco_pid"] = VALID
    assert not get(client, "/emit/").cookies
    first = event_of(client)
    client.cookies["moloco_pid"] = VALID
    assert event_of(client).device.persistent_id == first.device.persistent_id


@configured(PERSISTENT_ID_COOKIE="shop-browser", PERSISTENT_ID_COOKIE_AGE=3600)
def test_name_and_age_of_the_cookie_are_settings(client: Client) -> None:
    client.cookies["moloco_pid"] = VALID
    cookie = cookie_of(get(client, "/emit/"))
    assert (cookie.key, cookie["max-age"]) == ("shop-browser", 3600)
    assert cookie.value != VALID


@configured(PERSISTENT_ID_COOKIE=None)
def test_without_the_cookie_the_browser_has_no_id(client: Client) -> None:
    client.force_login(User.objects.create_user("ada"))
    client.cookies["moloco_pid"] = VALID
    assert not get(client, "/emit/").cookies
    assert event_of(client).device.persistent_id is None
