"""The shopper kept on the order: what is frozen at checkout speaks for them later."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from hypothesis import given, settings
from hypothesis import strategies as st

from django_moloco_rmp import track, track_purchase
from django_moloco_rmp.events import Event
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.testing import capture_events
from django_moloco_rmp.wire import to_wire
from tests.contract_schema import problems
from tests.integration.shopper_urls import LAMP
from tests.integration.visits import (
    GOOGLEBOT,
    IPHONE,
    configured,
    drop_reasons,
    event_of,
    get,
)
from tests.strategies import any_text

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.shopper_urls")]

BROWSER = {
    "user-agent": IPHONE,
    "accept-language": "de",
    "referer": "http://testserver/c/lamps/",
}


def purchase(frozen: Any) -> Event:
    """Report a purchase outside of any request."""
    with capture_events() as events:
        track_purchase(LAMP, shopper=frozen)
    (event,) = events
    return event


def shopper_of(event: Event) -> dict[str, Any]:
    """What a body says about the shopper and the page."""
    about_the_event = {"id", "event_type", "timestamp", "items", "revenue"}
    return {name: value for name, value in to_wire(event).items() if name not in about_the_event}


@configured(CHANNEL_TYPE="auto", DOMAIN="shop.example", CONSENT=lambda request: "METRIC_ONLY")
@pytest.mark.parametrize("signed_in", [True, False])
def test_a_frozen_shopper_is_the_same_shopper(client: Client, signed_in: bool) -> None:
    if signed_in:
        client.force_login(User.objects.create_user("ada"))
    with capture_events() as events:
        frozen = get(client, "/freeze/?emit", headers=BROWSER).json()
    (checkout,) = events
    event = purchase(frozen)
    assert shopper_of(event) == shopper_of(checkout)
    assert problems(to_wire(event)) == []
    expected = {"page_id", "referrer_page_id", "device", "domain", "channel_type"}
    assert expected < shopper_of(event).keys()
    assert ("user_id" in shopper_of(event)) is signed_in


@configured(PERSISTENT_ID_COOKIE=None)
def test_a_shopper_known_by_the_session_can_be_frozen(client: Client) -> None:
    get(client, "/start-session/")
    event = purchase(get(client, "/freeze/").json())
    assert event.custom_id == event_of(client).custom_id


@pytest.mark.parametrize("path", ["/freeze/", "/freeze-async/"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_frozen_shopper_is_plain_json_without_anything_raw(kind: type[Client], path: str) -> None:
    ada = User.objects.create_user("ada", pk=2_147_000_321)
    visitor = kind()
    visitor.force_login(ada)
    frozen = get(visitor, path, headers=BROWSER).json()
    assert {type(value) for value in frozen.values()} == {str}
    text = json.dumps(frozen)
    for secret in (str(ada.pk), *(cookie.value for cookie in visitor.cookies.values())):
        assert len(secret) >= 10
        assert secret not in text


def test_async_code_gets_the_same(client: Client) -> None:
    client.force_login(User.objects.create_user("ada"))
    get(client, "/emit/")
    in_sync_code = get(client, "/freeze/").json()
    in_async_code = get(client, "/freeze-async/").json()
    assert {in_sync_code.pop("page_id"), in_async_code.pop("page_id")} == {
        "/freeze/",
        "/freeze-async/",
    }
    assert in_sync_code == in_async_code


@configured(CONSENT=lambda request: "ID_LESS")
def test_a_frozen_shopper_without_identifiers_gets_new_ones_each_time(client: Client) -> None:
    client.force_login(User.objects.create_user("ada"))
    frozen = get(client, "/freeze/", headers=BROWSER).json()
    first, second = to_wire(purchase(frozen)), to_wire(purchase(frozen))
    assert first["custom_id"] != second["custom_id"]
    assert first["personalization_mode"] == "ID_LESS"
    assert "user_id" not in first
    assert first["device"].keys() == {"os", "os_version", "model", "language"}


@pytest.mark.parametrize(
    ("keys", "headers", "reason"),
    [
        pytest.param({"CONSENT": lambda request: None}, {}, "consent", id="no consent"),
        pytest.param({}, {"user-agent": GOOGLEBOT}, "bot", id="crawler"),
        pytest.param({"PERSISTENT_ID_COOKIE": None}, {}, "unidentified", id="nobody"),
        pytest.param(
            {"CONSENT": lambda request: 1 / 0, "RAISE_ERRORS": False}, {}, "invalid", id="failure"
        ),
    ],
)
def test_who_may_not_be_reported_at_checkout_is_not_reported_later(
    client: Client, keys: dict[str, Any], headers: dict[str, str], reason: str
) -> None:
    with configured(**keys):
        response = get(client, "/freeze/", headers=headers)
    assert not response.cookies
    with drop_reasons() as reasons:
        assert track_purchase(LAMP, shopper=response.json()) is None
    assert reasons == [reason]
    assert not OutboxEvent.objects.exists()


def test_the_banks_request_reports_the_frozen_shopper_and_not_the_bank(client: Client) -> None:
    frozen = get(client, "/freeze/", headers=BROWSER).json()
    bank = Client()
    with capture_events() as events:
        response = bank.post("/pay/", frozen, content_type="application/json")
    assert response.status_code == 200
    assert not response.cookies
    assert shopper_of(events[0]) == shopper_of(purchase(frozen))
    assert events[0].device.persistent_id == event_of(client).device.persistent_id


FROZEN = ["user_id", "persistent_id", "ua", "ip", "mode", "dropped"]
JUNK = [
    pytest.param("ada", id="text"),
    pytest.param(["user_id"], id="list"),
    pytest.param(42, id="number"),
    pytest.param({"user_id": 42}, id="id that is no text"),
    pytest.param({"user_id": None}, id="id that is None"),
    pytest.param({"persistent_id": "a", "password": "b"}, id="unknown key"),
    pytest.param({"persistent_id": "a", 1: "b"}, id="key that is no text"),
    pytest.param({}, id="nobody"),
    pytest.param({"persistent_id": "a", "mode": "FULL"}, id="unknown mode"),
    pytest.param({"persistent_id": "a", "channel_type": "TV"}, id="unknown channel"),
    pytest.param({"persistent_id": "a", "ip": "::1"}, id="IPv6"),
    pytest.param({"persistent_id": "a", "language": "german"}, id="language"),
    pytest.param({"persistent_id": "a" * 129}, id="id too long"),
    pytest.param({"user_id": "null"}, id="placeholder"),
]


@pytest.mark.parametrize("junk", JUNK)
def test_what_was_never_frozen_is_refused(junk: Any) -> None:
    with pytest.raises(InvalidEventError):
        track("HOME", shopper=junk)
    assert not OutboxEvent.objects.exists()


@pytest.mark.parametrize("junk", JUNK)
@configured(RAISE_ERRORS=False)
def test_in_production_it_is_dropped(junk: Any) -> None:
    with drop_reasons() as reasons:
        assert track("HOME", shopper=junk) is None
    assert reasons == ["invalid"]


@settings(max_examples=50)
@given(
    st.dictionaries(any_text.map("shop_{}".format) | st.integers(), any_text, min_size=1)
    | st.dictionaries(st.sampled_from(FROZEN), st.integers() | st.none(), min_size=1)
    | any_text
)
def test_the_error_says_that_it_is_the_shopper(junk: Any) -> None:
    with pytest.raises(InvalidEventError, match=r"^shopper: is not what .*freeze\(\) returned"):
        track("HOME", shopper=junk)


def test_outside_of_a_request_there_is_no_shopper() -> None:
    with pytest.raises(InvalidEventError, match="shopper: there is no request"):
        track("HOME")
    with pytest.raises(InvalidEventError, match="shopper: there is no request"):
        track("HOME", shopper=None)
