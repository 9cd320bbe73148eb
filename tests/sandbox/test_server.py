from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from django_moloco_rmp.sandbox import SandboxServer
from tests.contract_vectors import contract_cases
from tests.sandbox.caller import NOW, Caller, Clock
from tests.sandbox.vectors import own_body

PATH = "/rmp/event/v1/platforms/SHOP_TEST/userevents"


def statuses(sandbox: SandboxServer) -> list[int]:
    return [event["status"] for event in sandbox.events()]


@pytest.fixture(scope="module")
def judges() -> Iterator[dict[bool, Caller]]:
    """Callers of a sandbox without strict rules (False) and of one with them (True)."""
    with SandboxServer() as lenient, SandboxServer(strict=True) as strict:
        callers = {False: Caller(lenient), True: Caller(strict)}
        with callers[False].session, callers[True].session:
            yield callers


# What it answers


def test_a_valid_event_is_accepted(caller: Caller) -> None:
    response = caller.post()
    assert response.status_code == 200
    assert response.json() == {}


@pytest.mark.parametrize("case", contract_cases())
def test_vector_of_the_contract_over_http(judges: dict[bool, Caller], case: dict[str, Any]) -> None:
    response = judges[case.get("strict", False)].post(case["body"])
    assert response.status_code == case["status"]


def test_a_refusal_is_in_the_vendors_form(caller: Caller) -> None:
    body = own_body({"body": "search", "drop": ["search_query"]})
    assert caller.post(body).json() == {
        "code": 3,
        "message": "missing search_query",
        "details": [],
    }


def test_strict_rules_on_request() -> None:
    with SandboxServer(strict=True) as sandbox, Caller(sandbox).session as session:
        response = session.post(
            sandbox.url + PATH, json=own_body({"body": "order", "drop": ["revenue"]}), timeout=10
        )
    assert response.json()["message"] == "missing revenue"


def test_a_call_without_key(caller: Caller) -> None:
    assert caller.post(headers={"X-API-Key": None}).status_code == 401


def test_an_empty_key_is_none(caller: Caller) -> None:
    assert caller.post(headers={"X-API-Key": ""}).status_code == 401


def test_a_wrong_key(caller: Caller) -> None:
    assert caller.post(headers={"X-API-Key": "test-keys"}).status_code == 403


def test_an_unknown_platform(caller: Caller) -> None:
    response = caller.session.post(caller.events_url("SHOP"), json={}, timeout=10)
    assert response.status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_another_method(caller: Caller, method: str) -> None:
    response = caller.call(method, PATH)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


def test_head_has_no_body(caller: Caller) -> None:
    response = caller.call("HEAD", PATH)
    assert (response.status_code, response.content) == (405, b"")


@pytest.mark.parametrize(
    ("key", "platform_id", "method", "status"),
    [
        (None, "SHOP", "GET", 401),
        ("wrong", "SHOP", "GET", 403),
        ("test-key", "SHOP", "GET", 404),
        ("test-key", "SHOP_TEST", "GET", 405),
    ],
)
def test_what_is_wrong_is_told_in_this_order(
    caller: Caller, key: str | None, platform_id: str, method: str, status: int
) -> None:
    response = caller.session.request(
        method, caller.events_url(platform_id), headers={"X-API-Key": key}, timeout=10
    )
    assert response.status_code == status


def test_a_platform_id_is_decoded() -> None:
    with SandboxServer("SHOP/ÄÖ 1") as sandbox, Caller(sandbox).session as session:
        response = session.post(
            f"{sandbox.url}/rmp/event/v1/platforms/SHOP%2F%C3%84%C3%96%201/userevents",
            json=own_body({"body": "home"}),
            timeout=10,
        )
    assert response.status_code == 200


def test_a_wrong_key_comes_before_a_body_too_long(caller: Caller) -> None:
    response = caller.session.post(
        caller.events_url(), data=b" " * 1_048_577, headers={"X-API-Key": "wrong"}, timeout=10
    )
    assert response.status_code == 403


def test_the_longest_body(caller: Caller) -> None:
    response = caller.session.post(caller.events_url(), data=b" " * 1_048_576, timeout=10)
    assert response.status_code == 400


@pytest.mark.parametrize("length", [1_048_577, 30_000_000])
def test_a_body_too_long(caller: Caller, length: int) -> None:
    response = caller.session.post(caller.events_url(), data=b" " * length, timeout=10)
    assert response.status_code == 413
    assert response.headers["Connection"] == "close"


def test_another_path(caller: Caller) -> None:
    assert caller.call("GET", "/rmp/event/v1/platforms/SHOP_TEST").status_code == 404


def test_a_connection_is_kept_alive(caller: Caller) -> None:
    def port() -> int:
        response = caller.post(stream=True)
        connection: Any = response.raw.connection
        found: int = connection.sock.getsockname()[1]
        assert response.content == b"{}"
        return found

    assert port() == port()


def test_a_refused_call_keeps_the_connection_usable(caller: Caller) -> None:
    assert caller.post(headers={"X-API-Key": "wrong"}).status_code == 403
    assert caller.post().status_code == 200


# The quota


def test_calls_over_the_quota() -> None:
    clock = Clock()
    with SandboxServer(max_qps=2, clock=clock) as sandbox:
        caller = Caller(sandbox)
        with caller.session:
            first = [caller.post().status_code for _ in range(3)]
            clock.now += 0.999
            within = caller.post()
            clock.now += 0.001
            after = caller.post()
    assert first == [200, 200, 429]
    assert within.json()["message"] == "request denied by throttler, try again later"
    assert after.status_code == 200


def test_refused_calls_do_not_count_towards_the_quota() -> None:
    clock = Clock()
    with SandboxServer(max_qps=1, clock=clock) as sandbox:
        caller = Caller(sandbox)
        with caller.session:
            caller.post()
            clock.now += 0.5
            caller.post()
            clock.now += 0.5
            assert caller.post().status_code == 200


def test_the_quota_can_be_lifted() -> None:
    with SandboxServer(max_qps=1, clock=Clock()) as sandbox:
        caller = Caller(sandbox)
        with caller.session:
            caller.post()
            sandbox.max_qps = None
            assert caller.post().status_code == 200
            assert sandbox.max_qps is None


@pytest.mark.parametrize(("retry_after", "header"), [(7, "7"), (None, None)])
def test_the_wait_that_calls_over_the_quota_are_told(
    retry_after: int | None, header: str | None
) -> None:
    with SandboxServer(max_qps=1, retry_after=retry_after, clock=Clock()) as sandbox:
        caller = Caller(sandbox)
        with caller.session:
            caller.post()
            refused = caller.post()
    assert (refused.status_code, refused.headers.get("Retry-After")) == (429, header)


# What it has received


def test_events_are_listed_oldest_first(caller: Caller) -> None:
    for name in ("land", "home"):
        caller.post(own_body({"body": name}))
    events = caller.call("GET", "/events").json()
    assert [event["body"]["id"] for event in events] == ["v-land", "v-home"]


def test_an_event_is_listed_with_its_time_and_status() -> None:
    with SandboxServer(clock=Clock(NOW + 0.25)) as sandbox:
        caller = Caller(sandbox)
        with caller.session:
            caller.post()
        assert sandbox.events() == [
            {
                "received_at": "2025-10-09T08:53:20.250Z",
                "status": 200,
                "body": own_body({"body": "home"}),
            }
        ]


def test_refused_calls_are_listed(caller: Caller) -> None:
    caller.post({})
    caller.post(headers={"X-API-Key": None})
    caller.post(headers={"X-API-Key": "wrong"})
    caller.session.post(caller.events_url("SHOP"), json={}, timeout=10)
    caller.session.post(caller.events_url(), data=b" " * 2_000_000, timeout=10)
    assert statuses(caller.sandbox) == [400, 401, 403, 404, 413]


def test_calls_that_are_no_post_are_not_listed(caller: Caller) -> None:
    caller.call("GET", PATH)
    assert caller.sandbox.events() == []


@pytest.mark.parametrize(
    ("content", "body"), [(b"not json", "not json"), (b"\xffx", "�x"), (b"[1]", [1])]
)
def test_a_body_that_is_no_event_is_listed(caller: Caller, content: bytes, body: Any) -> None:
    caller.session.post(caller.events_url(), data=content, timeout=10)
    assert caller.sandbox.events()[0]["body"] == body


def test_events_are_forgotten(caller: Caller) -> None:
    caller.post()
    assert caller.call("DELETE", "/events").json() == {"deleted": 1}
    assert caller.call("GET", "/events").json() == []


def test_events_take_no_other_method(caller: Caller) -> None:
    response = caller.call("POST", "/events", json={})
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, DELETE")


def test_clear(caller: Caller) -> None:
    caller.post()
    caller.sandbox.clear()
    assert caller.sandbox.events() == []


def test_waiting_for_events(caller: Caller) -> None:
    thread = threading.Thread(target=lambda: [caller.post() for _ in range(3)])
    thread.start()
    assert len(caller.sandbox.wait_for(3, timeout=10)) == 3
    thread.join()


def test_waiting_in_vain(caller: Caller) -> None:
    caller.post()
    with pytest.raises(TimeoutError, match=r"1 of 2 calls received within 0\.01 s"):
        caller.sandbox.wait_for(2, timeout=0.01)


# Strangers


@pytest.mark.parametrize("host", ["localhost", "localhost:8010", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_a_loopback_name_is_answered(caller: Caller, host: str) -> None:
    assert caller.post(headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["shop.example", "localhost.shop.example", "192.0.2.1", "[::1", "", "127.0.0.1.x:80"]
)
def test_another_host_name_is_refused(caller: Caller, host: str) -> None:
    assert caller.call("GET", "/events", headers={"Host": host}).status_code == 403


def test_a_call_from_a_page_elsewhere_is_refused(caller: Caller) -> None:
    response = caller.call(
        "POST", "/faults", json={"status": 503}, headers={"Origin": "https://shop.example"}
    )
    assert response.status_code == 403
    assert caller.call("GET", "/faults").json() == []


def test_a_call_from_its_own_page_is_answered(caller: Caller) -> None:
    response = caller.call("DELETE", "/events", headers={"Origin": caller.sandbox.url})
    assert response.status_code == 200


# The server


def test_it_has_no_url_before_it_is_started() -> None:
    with pytest.raises(RuntimeError, match="until it is started"):
        _ = SandboxServer().url


def test_its_url(sandbox: SandboxServer) -> None:
    assert sandbox.url.startswith("http://127.0.0.1:")


def test_on_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with SandboxServer(host="::1") as sandbox:
        caller = Caller(sandbox)
        with caller.session:
            assert sandbox.url.startswith("http://[::1]:")
            assert caller.post().status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "shop.example", ""])
def test_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(ValueError, match="listens on loopback only"):
        SandboxServer(host=host)


def test_localhost_is_loopback() -> None:
    with SandboxServer(host="localhost") as sandbox:
        assert sandbox.url.startswith("http://127.0.0.1:")


def test_starting_it_twice(sandbox: SandboxServer) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        sandbox.start()


def test_two_cannot_share_a_port(sandbox: SandboxServer) -> None:
    port = int(sandbox.url.rsplit(":", 1)[1])
    other = SandboxServer(port=port)
    with pytest.raises(OSError, match="in use"):
        other.start()
    other.stop()


def test_stopping_frees_the_port_and_starting_takes_it_again(caller: Caller) -> None:
    caller.post()
    url = caller.sandbox.url
    caller.sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        caller.post()
    caller.sandbox.start()
    assert caller.sandbox.url == url
    caller.post()
    assert statuses(caller.sandbox) == [200, 200]


def test_stopping_twice(sandbox: SandboxServer) -> None:
    sandbox.stop()
    sandbox.stop()


def test_stopping_ends_its_thread() -> None:
    before = set(threading.enumerate())
    with SandboxServer():
        assert set(threading.enumerate()) - before
    assert not set(threading.enumerate()) - before


def test_a_mistake_of_its_own_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def broken_clock() -> float:
        raise ZeroDivisionError

    with SandboxServer(clock=broken_clock) as sandbox:
        caller = Caller(sandbox)
        with caller.session, pytest.raises(requests.ConnectionError):
            caller.post()
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_stopping_ends_delays_and_idle_connections(caller: Caller) -> None:
    errors: list[Exception] = []

    def hang() -> None:
        try:
            caller.post()
        except requests.ConnectionError as error:
            errors.append(error)

    idle = Caller(caller.sandbox)
    with idle.session:
        idle.call("GET", "/events")
        caller.sandbox.fault({"delay": 600})
        thread = threading.Thread(target=hang)
        thread.start()
        caller.sandbox.wait_for(1, timeout=10)
        began = time.monotonic()
        caller.sandbox.stop()
        assert time.monotonic() - began < 5
        thread.join(10)
    assert len(errors) == 1


def test_many_at_once(sandbox: SandboxServer) -> None:
    def work() -> None:
        caller = Caller(sandbox)
        with caller.session:
            for _ in range(10):
                caller.post()

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses(sandbox) == [200] * 200


def test_the_key_is_in_no_repr() -> None:
    sandbox = SandboxServer(api_key="very-secret")
    assert "very-secret" not in repr(vars(sandbox))


def test_calls_are_told_apart_without_reading_their_bodies() -> None:
    clock = Clock()
    with SandboxServer(max_calls=2, clock=clock) as sandbox:
        caller = Caller(sandbox)
        with caller.session:
            for number in range(3):
                clock.now = NOW + number / 1000
                caller.post()
        calls = sandbox.calls()
    assert [(call.number, call.status) for call in calls] == [(2, 200), (3, 200)]
    assert [call.received_at for call in calls] == [NOW + 0.001, NOW + 0.002]
    assert [call.duplicate for call in calls] == [True, True]
    assert [call.event_id for call in calls] == [each["body"]["id"] for each in sandbox.events()]
