"""The health view: what it says, when it says 503, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections
from django.test import AsyncClient, Client, override_settings

from django_moloco_rmp.gate import Gate
from tests.metrics.samples import (
    circuit,
    database_that_is_down,
    due,
    opened,
    relay_seen,
)
from tests.outbox.samples import record

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.metrics.urls")]

URL = "/moloco/health/"
REQUIRED = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}


def asked(client: Client, **limits: int | None) -> tuple[int, Any]:
    """Ask with these limits; return status and answer."""
    keys = {f"HEALTH_MAX_{name.upper()}": limit for name, limit in limits.items()}
    with override_settings(MOLOCO_RMP={**REQUIRED, **keys}):
        response = client.get(URL)
    return response.status_code, response.json()


def test_a_shop_that_has_sent_nothing_yet_is_healthy(client: Client) -> None:
    response = client.get(URL)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    assert response.json() == {
        "status": "ok",
        "troubles": [],
        "circuit": "closed",
        "reason": "",
        "circuit_since": None,
        "oldest_due": 0.0,
        "relay_seen": None,
    }


def test_it_tells_how_things_stand(client: Client) -> None:
    due(100)
    due(20)
    opened(since=60)
    relay_seen(5)
    status, answer = asked(client)
    assert (status, answer["status"], answer["troubles"]) == (200, "ok", [])
    assert (answer["circuit"], answer["reason"]) == ("open", "server")
    assert answer["circuit_since"] == pytest.approx(60, abs=15)
    assert answer["oldest_due"] == pytest.approx(100, abs=15)
    assert answer["relay_seen"] == pytest.approx(5, abs=15)


@pytest.mark.parametrize(
    ("limits", "age", "troubles"),
    [
        ({}, 850, []),
        ({}, 901, ["backlog"]),
        ({"age": 100}, 101, ["backlog"]),
        ({"age": 1000}, 901, []),
        ({"age": None}, 100_000, []),
        ({"age": 0}, 0.5, ["backlog"]),
        # Its time has not come: that is no delay.
        ({"age": 0}, -100, []),
    ],
)
def test_events_that_wait_for_long_are_a_trouble(
    client: Client, limits: dict[str, int | None], age: float, troubles: list[str]
) -> None:
    due(age)
    status, answer = asked(client, **limits)
    assert (status, answer["troubles"]) == (503 if troubles else 200, troubles)
    assert answer["status"] == ("unhealthy" if troubles else "ok")
    assert answer["oldest_due"] == pytest.approx(max(age, 0), abs=15 if age > 0 else 0)


@pytest.mark.parametrize(
    ("limits", "stands", "troubles"),
    [
        ({}, {"failures": 6, "since": 850}, []),
        ({}, {"failures": 6, "since": 901}, ["circuit"]),
        ({}, {"paused": True, "since": 901}, ["circuit"]),
        # Backing off takes less than three minutes, and is how it should be.
        ({"open": 0}, {"failures": 5, "since": 100_000}, []),
        ({}, {"since": 100_000}, []),
        ({"open": 0}, {"failures": 6, "since": 0.5}, ["circuit"]),
        ({"open": None}, {"failures": 6, "since": 100_000}, []),
    ],
)
def test_a_circuit_that_stands_open_for_long_is_a_trouble(
    client: Client, limits: dict[str, int | None], stands: dict[str, Any], troubles: list[str]
) -> None:
    circuit(**stands)
    status, answer = asked(client, **limits)
    assert (status, answer["troubles"]) == (503 if troubles else 200, troubles)


@pytest.mark.parametrize(
    ("limits", "seen", "troubles"),
    [
        ({}, None, []),
        ({}, 100_000, []),
        ({"silence": 120}, 5, []),
        ({"silence": 120}, 121, ["relay"]),
        ({"silence": 120}, None, ["relay"]),
    ],
)
def test_silence_is_a_trouble_where_a_relay_is_expected(
    client: Client, limits: dict[str, int | None], seen: float | None, troubles: list[str]
) -> None:
    if seen is not None:
        relay_seen(seen)
    status, answer = asked(client, **limits)
    assert (status, answer["troubles"]) == (503 if troubles else 200, troubles)


def test_all_troubles_are_told_to_who_asks_and_to_nobody_else(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    due(1000)
    opened(since=1000)
    caplog.clear()
    status, answer = asked(client, silence=60)
    assert (status, answer["troubles"]) == (503, ["backlog", "circuit", "relay"])
    assert caplog.records == []


def test_a_database_that_is_down_is_told_in_a_word(client: Client) -> None:
    with database_that_is_down() as alias:
        response = client.get(f"/elsewhere/{alias}/")
    assert (response.status_code, response.headers["Cache-Control"]) == (503, "no-store")
    assert response.json() == {"status": "unhealthy", "troubles": ["database"]}


def test_settings_at_fault_are_told_in_a_word(client: Client) -> None:
    with override_settings(MOLOCO_RMP={"API_KEY": "test-key"}):
        response = client.get(URL)
    assert response.status_code == 503
    assert response.json() == {"status": "unhealthy", "troubles": ["settings"]}


@pytest.mark.django_db(databases=["default", "other"])
def test_another_database_can_be_asked_about(client: Client) -> None:
    due(1000)
    assert client.get(URL).status_code == 503
    assert client.get("/elsewhere/other/").status_code == 200


def test_it_is_not_asked_inside_of_a_transaction_which_could_not_begin(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This test may not use the other database: to open a transaction there is an error.
    for alias in connections:
        monkeypatch.setitem(connections.settings[alias], "ATOMIC_REQUESTS", True)
    assert client.get(URL).status_code == 200


def test_nobody_has_to_sign_in(client: Client, settings: Any) -> None:
    login = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, login]
    assert client.get(URL).status_code == 200


def test_it_is_never_cached(client: Client) -> None:
    response = client.get(URL)
    assert response.headers["Cache-Control"] == "no-store"
    assert not response.has_header("Vary")
    assert not response.cookies


def test_it_may_be_asked_for_without_a_body(client: Client) -> None:
    due(1000)
    response = client.head(URL)
    assert (response.status_code, response.content) == (503, b"")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_can_be_done_to_it(client: Client, method: str) -> None:
    response = getattr(client, method)(URL)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")


def test_it_tells_nothing_of_events_and_errors(client: Client) -> None:
    record("order-4711")

    def fail(held: Any) -> None:
        held.notes |= {"last_error": "unknown user 4711", "fingerprint": "f1n93r"}

    Gate("default").change(fail)
    opened(since=1)
    text = client.get(URL).content.decode()
    for secret in ("4711", "f1n93r", "test-key", "SHOP_TEST"):
        assert secret not in text


def test_it_takes_four_queries_and_writes_nothing(
    client: Client, django_assert_num_queries: Any
) -> None:
    opened(since=1000)
    due(1000)
    with django_assert_num_queries(4) as queries:
        client.get(URL)
    assert {query["sql"].split()[0] for query in queries.captured_queries} == {"SELECT"}


def test_it_answers_under_an_event_loop(async_client: AsyncClient) -> None:
    response = async_to_sync(async_client.get)(URL)
    assert (response.status_code, response.json()["status"]) == (200, "ok")
