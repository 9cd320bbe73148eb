"""Whom events are about: consent, Global Privacy Control, and who is no shopper at all."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from django_moloco_rmp.events import PersonalizationMode
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.wire import to_wire
from tests.contract_schema import problems
from tests.integration.visits import (
    FIREFOX,
    GOOGLEBOT,
    IPHONE,
    configured,
    drop_reasons,
    event_of,
    events_of,
    get,
)

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.shopper_urls")]


@pytest.fixture
def customer(client: Client) -> Client:
    client.force_login(User.objects.create_user("ada"))
    client.cookies["moloco_pid"] = "0123456789abcdef" * 2
    return client


@pytest.mark.parametrize("path", ["/emit/", "/emit-async/"])
@configured(CONSENT=lambda request: None)
def test_without_consent_nothing_happens(client: Client, path: str) -> None:
    with drop_reasons() as reasons:
        assert events_of(client, path) == []
        assert not get(client, path).cookies
    assert reasons == ["consent", "consent"]
    assert not OutboxEvent.objects.exists()


@configured(CONSENT=lambda request: None)
def test_without_consent_there_are_no_identifiers(customer: Client) -> None:
    assert get(customer, "/identifiers/").json() == {}
    assert get(customer, "/identifiers-async/").json() == {}


@configured(CONSENT=lambda request: request.COOKIES.get("consent"))
def test_consent_is_asked_anew_for_each_request(client: Client) -> None:
    assert events_of(client) == []
    client.cookies["consent"] = "STANDARD"
    assert events_of(client) != []
    client.cookies["consent"] = "METRIC_ONLY"
    assert event_of(client).personalization_mode is PersonalizationMode.METRIC_ONLY


@pytest.mark.parametrize("answer", ["STANDARD", "METRIC_ONLY", *PersonalizationMode])
def test_the_answer_is_the_mode_of_the_event(client: Client, answer: str) -> None:
    with configured(CONSENT=lambda request: answer):
        body = to_wire(event_of(client))
    assert body["personalization_mode"] == str(answer)
    assert problems(body) == []


def test_without_a_callable_the_mode_is_left_to_the_platform(client: Client) -> None:
    assert "personalization_mode" not in to_wire(event_of(client))


def assert_id_less(client: Client, **keywords: Any) -> None:
    visitor = {"user-agent": IPHONE, "accept-language": "de", **keywords.pop("headers", {})}
    first, second = events_of(client, "/emit/?times=2", headers=visitor, **keywords)
    for event in (first, second):
        body = to_wire(event)
        assert problems(body) == []
        assert body["personalization_mode"] == "ID_LESS"
        assert "user_id" not in body
        assert body["device"] == {"os": "iOS", "os_version": "17.5", "model": "iPhone"} | {
            "language": "de"
        }
        assert re.fullmatch("[0-9a-f]{32}", body["custom_id"])
    assert first.custom_id != second.custom_id
    assert not get(client, "/emit/", headers=visitor, **keywords).cookies


@pytest.mark.parametrize("answer", ["ID_LESS", PersonalizationMode.ID_LESS])
def test_an_id_less_shopper_cannot_be_told_from_another(customer: Client, answer: str) -> None:
    with configured(CONSENT=lambda request: answer):
        assert_id_less(customer)
        assert_id_less(Client())


@pytest.mark.parametrize(
    "keys", [{}, {"CONSENT": lambda request: "STANDARD"}, {"CONSENT": lambda request: "ID_LESS"}]
)
def test_global_privacy_control_is_honoured(customer: Client, keys: dict[str, Any]) -> None:
    with configured(**keys):
        assert_id_less(customer, headers={"sec-gpc": "1"})


@configured(CONSENT=lambda request: None)
def test_global_privacy_control_is_no_consent(client: Client) -> None:
    assert events_of(client, headers={"sec-gpc": "1"}) == []


@pytest.mark.parametrize("value", ["0", "", "true", "11"])
def test_only_a_1_is_global_privacy_control(client: Client, value: str) -> None:
    event = event_of(client, headers={"sec-gpc": value})
    assert event.personalization_mode is None
    assert event.device.persistent_id is not None


def failing(request: Any) -> Any:
    raise LookupError("ada@example.com")


async def coroutine(request: Any) -> PersonalizationMode:
    return PersonalizationMode.STANDARD


@pytest.mark.parametrize(
    ("consent", "told"),
    [
        (failing, "failed with LookupError. Mend it; it gets the request."),
        (
            lambda request: True,
            "returned True, which is no PersonalizationMode. Return PersonalizationMode.STANDARD,"
            " METRIC_ONLY or ID_LESS, or None: do not track.",
        ),
        (lambda request: "YES", "returned 'YES', which is no"),
        (lambda request: "", "returned '', which is no"),
        (lambda request: ["ada"], "returned a list, which is no"),
        # It may be anything, such as the cookie of the consent dialogue.
        (lambda request: "ada@example.com", "returned a str, which is no"),
        (coroutine, "is a coroutine function. Make it a plain function: def, not async def."),
    ],
)
def test_a_consent_that_fails_is_no_consent(
    customer: Client, consent: Any, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with configured(CONSENT=consent, RAISE_ERRORS=False), drop_reasons() as reasons:
        assert events_of(customer) == []
        assert events_of(customer, "/emit-async/") == []
        assert get(customer, "/identifiers/").json() == {}
    assert reasons == ["invalid", "invalid"]
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    assert caplog.text.count(f"the callable in MOLOCO_RMP['CONSENT'] {told}") == 3
    assert "ada" not in caplog.text


@pytest.mark.parametrize("path", ["/emit/", "/emit-async/", "/identifiers/", "/freeze/"])
def test_a_consent_that_fails_is_raised_while_developing(client: Client, path: str) -> None:
    with (
        configured(CONSENT=failing),
        pytest.raises(InvalidEventError, match="failed with LookupError"),
    ):
        client.get(path)


NO_SHOPPERS = [
    pytest.param({"user-agent": GOOGLEBOT}, "bot", id="crawler"),
    pytest.param({"sec-purpose": "prefetch"}, "prefetch", id="prefetch"),
    pytest.param({"sec-purpose": "Prefetch;prerender"}, "prefetch", id="prerender"),
    pytest.param({"purpose": "prefetch"}, "prefetch", id="prefetch of older browsers"),
]


@pytest.mark.parametrize(("headers", "reason"), NO_SHOPPERS)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_nothing_is_reported_for_who_is_no_shopper(
    kind: type[Client], headers: dict[str, str], reason: str
) -> None:
    visitor = kind()
    with drop_reasons() as reasons:
        assert events_of(visitor, headers=headers) == []
        assert get(visitor, "/identifiers/", headers=headers).json() == {}
        assert not visitor.cookies
    assert reasons == [reason]


def test_nothing_is_reported_for_head(client: Client) -> None:
    with drop_reasons() as reasons:
        assert client.head("/emit/").status_code == 200
    assert reasons == ["head"]
    assert not OutboxEvent.objects.exists()


@configured(IGNORE_BOTS=False)
def test_a_shop_may_want_crawlers(client: Client) -> None:
    event = event_of(client, headers={"user-agent": GOOGLEBOT})
    assert problems(to_wire(event)) == []


@configured(IGNORE_BOTS=False)
def test_no_shop_gets_what_nobody_looks_at(client: Client) -> None:
    for headers, reason in (each.values for each in NO_SHOPPERS[1:]):
        with drop_reasons() as reasons:
            assert events_of(client, headers=headers) == []
        assert reasons == [reason]
    with drop_reasons() as reasons:
        client.head("/emit/")
    assert reasons == ["head"]
    assert not OutboxEvent.objects.exists()


@pytest.mark.parametrize("headers", [{}, {"user-agent": FIREFOX}, {"purpose": "to buy a lamp"}])
def test_everybody_else_is_a_shopper(client: Client, headers: dict[str, str]) -> None:
    assert len(events_of(client, headers=headers)) == 1
