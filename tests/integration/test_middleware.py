"""What the middleware costs, and where code finds the shopper that it binds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp.events import PersonalizationMode
from django_moloco_rmp.middleware import MolocoMiddleware
from django_moloco_rmp.shopper import current_shopper
from tests.integration.visits import GOOGLEBOT, configured, events_of, get

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.shopper_urls")]


@pytest.fixture(params=[Client, AsyncClient], ids=["WSGI", "ASGI"])
def visitor(request: pytest.FixtureRequest) -> Client | AsyncClient:
    return request.param()


@pytest.fixture
def customer(visitor: Client | AsyncClient) -> Client | AsyncClient:
    """A visitor who is signed in, and who was seen before."""
    visitor.force_login(User.objects.create_user("ada"))
    visitor.cookies["moloco_pid"] = "0123456789abcdef" * 2
    return visitor


def statements(client: Client | AsyncClient, path: str, **keywords: Any) -> list[str]:
    """Get a page and return the first word of each SQL statement."""
    with CaptureQueriesContext(connection) as queries:
        get(client, path, **keywords)
    return [query["sql"].split()[0] for query in queries]


def assert_costs_nothing(client: Client | AsyncClient, path: str, **keywords: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        response = get(client, path, **keywords)
    assert len(queries) == 0
    request = getattr(response, "wsgi_request", None) or response.asgi_request
    # Loading the user would have read the session.
    assert not request.session.accessed
    assert not response.cookies
    assert "Vary" not in response.headers


@pytest.mark.parametrize("path", ["/quiet/", "/quiet-async/"])
def test_a_page_that_emits_nothing_costs_a_newcomer_nothing(
    visitor: Client | AsyncClient, path: str
) -> None:
    assert_costs_nothing(visitor, path)


@pytest.mark.parametrize("path", ["/quiet/", "/quiet-async/"])
def test_a_page_that_emits_nothing_costs_a_customer_nothing(
    customer: Client | AsyncClient, path: str
) -> None:
    assert_costs_nothing(customer, path)


@pytest.mark.parametrize(
    ("keys", "headers"),
    [
        pytest.param({}, {"user-agent": GOOGLEBOT}, id="crawler"),
        pytest.param({}, {"sec-purpose": "prefetch"}, id="prefetch"),
        pytest.param({"CONSENT": lambda request: None}, {}, id="no consent"),
        pytest.param({"ENABLED": False}, {}, id="switched off"),
    ],
)
def test_a_dropped_event_costs_nothing_either(
    customer: Client | AsyncClient, keys: dict[str, Any], headers: dict[str, str]
) -> None:
    with configured(**keys):
        assert_costs_nothing(customer, "/emit/", headers=headers)


@pytest.mark.django_db(transaction=True)
def test_an_event_of_a_newcomer_is_one_statement(visitor: Client | AsyncClient) -> None:
    assert statements(visitor, "/emit/") == ["INSERT"]
    assert statements(visitor, "/emit-async/") == ["INSERT"]
    assert statements(visitor, "/emit/?times=3") == ["INSERT"] * 3


def test_in_a_transaction_postgresql_needs_a_savepoint() -> None:
    expected = ["INSERT"]
    if connection.vendor == "postgresql":
        # It goes to the server together with the row.
        expected = ["SAVEPOINT"]
    with transaction.atomic():
        assert statements(Client(), "/emit/") == expected


@pytest.mark.django_db(transaction=True)
def test_a_session_and_a_user_are_loaded_once_however_many_events_there_are(
    visitor: Client | AsyncClient,
) -> None:
    get(visitor, "/start-session/")
    assert statements(visitor, "/emit/?times=2") == ["SELECT", "INSERT", "INSERT"]
    visitor.force_login(User.objects.create_user("ada"))
    assert statements(visitor, "/emit/?times=2") == ["SELECT", "SELECT", "INSERT", "INSERT"]


@pytest.mark.django_db(transaction=True)
@configured(CONSENT=lambda request: PersonalizationMode.ID_LESS)
def test_an_event_without_identifiers_does_not_load_the_user(
    customer: Client | AsyncClient,
) -> None:
    assert statements(customer, "/emit/") == ["INSERT"]


def test_code_without_the_request_finds_its_shopper(visitor: Client | AsyncClient) -> None:
    for path in ("/deep/", "/deep-async/"):
        found = get(visitor, path).json()
        assert found
        assert all(found.values()), found


@pytest.mark.parametrize("path", ["/emit/", "/emit-async/", "/fail/", "/fail-async/"])
def test_no_shopper_is_left_behind(visitor: Client | AsyncClient, path: str) -> None:
    visitor.raise_request_exception = False
    if isinstance(visitor, AsyncClient):
        # asgiref carries what the request left in its context over to here.
        response = async_to_sync(visitor.get)(path)
    else:
        response = visitor.get(path)
    assert response.status_code == (500 if "fail" in path else 200)
    assert current_shopper() is None


def test_requests_that_overlap_keep_their_own_shoppers() -> None:
    async def overlap() -> list[HttpResponse]:
        everyone_is_inside = asyncio.Barrier(2)

        async def view(request: HttpRequest) -> HttpResponse:
            await everyone_is_inside.wait()
            assert current_shopper() is request.moloco  # type: ignore[attr-defined]
            return HttpResponse()

        middleware = MolocoMiddleware(view)
        requests = [RequestFactory().get("/"), RequestFactory().get("/")]
        return await asyncio.gather(*(middleware(request) for request in requests))

    assert [response.status_code for response in asyncio.run(overlap())] == [200, 200]


def test_a_request_inside_of_a_request_gives_the_shopper_back() -> None:
    seen = []

    def inner(request: HttpRequest) -> HttpResponse:
        seen.append(current_shopper() is request.moloco)  # type: ignore[attr-defined]
        return HttpResponse()

    def outer(request: HttpRequest) -> HttpResponse:
        MolocoMiddleware(inner)(RequestFactory().get("/inner/"))
        seen.append(current_shopper() is request.moloco)  # type: ignore[attr-defined]
        return HttpResponse()

    MolocoMiddleware(outer)(RequestFactory().get("/outer/"))
    assert seen == [True, True]


def test_the_middleware_needs_neither_sessions_nor_users(
    visitor: Client | AsyncClient, settings: Any
) -> None:
    settings.MIDDLEWARE = ["django_moloco_rmp.middleware.MolocoMiddleware"]
    (event,) = events_of(visitor)
    assert event.device.persistent_id
    assert event.user_id is None
