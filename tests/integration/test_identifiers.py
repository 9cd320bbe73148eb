"""Who the shopper is, as events say it: by keyed hashes, and by nothing that is personal."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from hypothesis import example, given, settings
from hypothesis import strategies as st

from django_moloco_rmp.events import RESERVED_USER_IDS
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.models import OutboxEvent
from tests.integration.visits import configured, drop_reasons, event_of, events_of, get
from tests.strategies import any_text

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.shopper_urls")]

HASH = re.compile("[0-9a-f]{64}")


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", pk=2_147_000_321)


def test_a_visitor_has_a_browser_only(client: Client) -> None:
    event = event_of(client)
    assert HASH.fullmatch(event.device.persistent_id or "")
    assert (event.user_id, event.custom_id) == (None, None)


def test_a_customer_has_a_user_id_too(client: Client, ada: User) -> None:
    client.force_login(ada)
    event = event_of(client)
    assert HASH.fullmatch(event.device.persistent_id or "")
    assert HASH.fullmatch(event.user_id or "")
    assert event.custom_id is None


def test_a_customer_is_the_same_in_every_browser(ada: User) -> None:
    events = []
    for browser in (Client(), Client()):
        browser.force_login(ada)
        events.append(event_of(browser))
    assert events[0].user_id == events[1].user_id
    assert events[0].device.persistent_id != events[1].device.persistent_id


def test_a_login_counts_at_once(client: Client, ada: User) -> None:
    before, after = events_of(client, "/emit-and-sign-in/")
    assert before.user_id is None
    assert after.user_id is not None
    assert event_of(client).user_id == after.user_id


def test_after_the_logout_the_user_is_unknown_again(client: Client, ada: User) -> None:
    client.force_login(ada)
    signed_in = event_of(client)
    browser = client.cookies["moloco_pid"].value
    client.logout()
    client.cookies["moloco_pid"] = browser
    signed_out = event_of(client)
    assert signed_out.user_id is None
    assert signed_out.device.persistent_id == signed_in.device.persistent_id


@configured(PERSISTENT_ID_COOKIE=None)
def test_the_session_stands_in_where_both_others_are_missing(client: Client, ada: User) -> None:
    get(client, "/start-session/")
    first, second = event_of(client), event_of(client)
    assert HASH.fullmatch(first.custom_id or "")
    assert first.custom_id == second.custom_id
    assert (first.user_id, first.device.persistent_id) == (None, None)
    client.force_login(ada)
    event = event_of(client)
    assert event.user_id is not None
    assert event.custom_id is None


@pytest.mark.parametrize("raise_errors", [True, False])
def test_a_shopper_without_any_identifier_is_no_error(
    client: Client, raise_errors: bool, caplog: pytest.LogCaptureFixture
) -> None:
    keys = {"PERSISTENT_ID_COOKIE": None, "RAISE_ERRORS": raise_errors}
    with configured(**keys), drop_reasons() as reasons:
        assert events_of(client) == []
        assert get(client, "/identifiers/").json() == {}
    assert reasons == ["unidentified"]
    assert not caplog.records


@configured(PERSISTENT_ID_COOKIE=None)
def test_a_session_that_the_shopper_made_up_is_none(client: Client) -> None:
    client.cookies["sessionid"] = "made-up-by-the-shopper"
    with drop_reasons() as reasons:
        assert events_of(client) == []
    assert reasons == ["unidentified"]


def test_nothing_that_tells_who_it_is_gets_into_the_outbox(client: Client, ada: User) -> None:
    get(client, "/emit/")
    with configured(PERSISTENT_ID_COOKIE=None):
        get(client, "/start-session/")
        session_keys = [client.cookies["sessionid"].value]
        get(client, "/emit/")
        client.force_login(ada)
        session_keys.append(client.cookies["sessionid"].value)
        get(client, "/emit/")
    payloads = "\n".join(OutboxEvent.objects.values_list("payload", flat=True))
    assert payloads.count("\n") == 2
    for secret in (str(ada.pk), client.cookies["moloco_pid"].value, *session_keys):
        assert len(secret) >= 10
        assert secret not in payloads


@settings(max_examples=30)
@given(st.emails())
def test_what_user_id_returns_is_never_stored_as_it_is(email: str) -> None:
    OutboxEvent.objects.all().delete()
    with configured(USER_ID=lambda request: email):
        event = event_of(Client())
    assert HASH.fullmatch(event.user_id or "")
    assert email not in OutboxEvent.objects.get().payload


@settings(max_examples=30)
@given(any_text)
@example("0")
@example("anonymous")
@example("x" * 10_000)
@example("\ud800")
def test_any_other_text_is_a_user_id(value: str) -> None:
    with configured(USER_ID=lambda request: f"customer {value}"):
        assert HASH.fullmatch(event_of(Client()).user_id or "")


@pytest.mark.parametrize("value", [None, False, "", " \t"])
def test_user_id_may_say_in_several_ways_that_nobody_is_signed_in(
    client: Client, value: object
) -> None:
    with configured(USER_ID=lambda request: value):
        assert event_of(client).user_id is None


def test_a_user_id_of_zero_is_one(client: Client) -> None:
    with configured(USER_ID=lambda request: 0):
        assert event_of(client).user_id is not None


@configured(USER_ID="tests.integration.shopper_urls.user_id_from_header")
def test_user_id_may_be_a_dotted_path(client: Client) -> None:
    ada, ada_again, bob = (
        event_of(client, headers={"x-customer": name}).user_id for name in ("ada", "ada", "bob")
    )
    assert ada == ada_again != bob


@pytest.mark.parametrize("value", [*sorted(RESERVED_USER_IDS), " NULL ", "Undefined"])
def test_a_placeholder_for_a_user_id_is_refused(client: Client, value: str) -> None:
    with configured(USER_ID=lambda request: value):
        with pytest.raises(InvalidEventError, match="user_id: is a placeholder"):
            client.get("/emit/")
        with pytest.raises(InvalidEventError, match="user_id: is a placeholder"):
            client.get("/identifiers/")
    assert not OutboxEvent.objects.exists()


class Unprintable:
    def __str__(self) -> str:
        raise LookupError("ada@example.com")


def failing(request: Any) -> Any:
    raise LookupError("ada@example.com")


@pytest.mark.parametrize("user_id", [failing, lambda request: Unprintable()])
def test_a_user_id_that_fails_drops_the_event_and_serves_the_page(
    client: Client, user_id: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with configured(USER_ID=user_id, RAISE_ERRORS=False), drop_reasons() as reasons:
        assert not get(client, "/emit/").cookies
        assert get(client, "/identifiers/").json() == {}
    assert reasons == ["invalid"]
    assert len(caplog.records) == 2
    for record in caplog.records:
        assert (record.levelno, bool(record.exc_info)) == (logging.ERROR, False)
        assert "MOLOCO_RMP['USER_ID'] failed with LookupError" in record.getMessage()
    # What the shop's error says may be personal.
    assert "ada" not in caplog.text


def test_a_user_id_that_is_a_coroutine_is_no_user_id(client: Client) -> None:
    async def user_id(request: Any) -> str:
        return "ada"

    with (
        configured(USER_ID=user_id),
        pytest.raises(InvalidEventError, match=r"\['USER_ID'\] is a coroutine function"),
    ):
        client.get("/emit/")


def test_a_user_id_that_fails_is_raised_while_developing(client: Client) -> None:
    with (
        configured(USER_ID=failing),
        pytest.raises(InvalidEventError, match=r"MOLOCO_RMP\['USER_ID'\] failed") as caught,
    ):
        client.get("/emit/")
    assert isinstance(caught.value.__cause__, LookupError)


def test_async_code_that_forgets_to_await_is_told_so(client: Client, ada: User) -> None:
    client.force_login(ada)
    path = "/identifiers-in-the-event-loop/"
    with pytest.raises(InvalidEventError, match=r"request\.user failed .* await aidentifiers\(\)"):
        client.get(path)
    with configured(RAISE_ERRORS=False):
        assert get(client, path).json() == {}


def test_another_hash_key_makes_another_shopper(client: Client, ada: User) -> None:
    client.force_login(ada)
    get(client, "/emit/")
    found = []
    for key in ("first", "second"):
        with configured(HASH_KEY=key):
            event = event_of(client)
        found.append((event.user_id, event.device.persistent_id))
    assert len({value for pair in found for value in pair}) == 4


def test_a_hash_key_outlives_the_secret_key(client: Client) -> None:
    get(client, "/emit/")

    def persistent_id(secret_key: str, hash_key: str | None) -> str | None:
        with override_settings(SECRET_KEY=secret_key), configured(HASH_KEY=hash_key):
            return event_of(client).device.persistent_id

    assert persistent_id("old", "kept") == persistent_id("new", "kept")
    assert persistent_id("old", None) != persistent_id("new", None)


@pytest.mark.parametrize("path", ["/identifiers/?emit", "/identifiers-async/"])
def test_identifiers_are_those_of_the_events(client: Client, ada: User, path: str) -> None:
    client.force_login(ada)
    get(client, "/emit/")
    found = get(client, path).json()
    event = event_of(client)
    assert found == {"user_id": event.user_id, "persistent_id": event.device.persistent_id}


def test_a_newcomers_identifiers_are_those_of_the_event_in_the_same_request(
    client: Client,
) -> None:
    event = event_of(client, "/identifiers/?emit")
    assert get(client, "/identifiers/").json() == {"persistent_id": event.device.persistent_id}
