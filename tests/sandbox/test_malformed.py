"""What no well-behaved client sends."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from django_moloco_rmp.sandbox import SandboxServer
from tests.sandbox.caller import Caller, exchange
from tests.sandbox.vectors import own_body

POST = b"POST /rmp/event/v1/platforms/SHOP_TEST/userevents HTTP/1.1\r\nX-API-Key: test-key\r\n"
HOST = b"Host: localhost\r\n"


def status(answer: bytes) -> int:
    version, code, _ = answer.split(b" ", 2)
    assert version == b"HTTP/1.1"
    return int(code)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"\x00\x01\x02\xff\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/x\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_http_gets_an_answer_in_json(
    sandbox: SandboxServer, sent: bytes, expected: int
) -> None:
    answer = exchange(sandbox, sent)
    assert status(answer) == expected
    assert b"\r\nContent-Type: application/json\r\n" in answer
    assert answer.endswith(b'"details": []}')


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (HOST, 411),
        (HOST + b"Transfer-Encoding: chunked\r\n", 411),
        (HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", 411),
        (HOST + b"Content-Length: -1\r\n", 400),
        (HOST + b"Content-Length: +2\r\n", 400),
        (HOST + b"Content-Length: two\r\n", 400),
        (HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n", 400),
        (HOST + b"Content-Length: " + b"9" * 30 + b"\r\n", 400),
        (HOST + b"Content-Length: 999999999999\r\n", 413),
        (b"Content-Length: 2\r\n", 403),
        (HOST + HOST + b"Content-Length: 2\r\nConnection: close\r\n", 403),
    ],
)
def test_a_bad_head(sandbox: SandboxServer, head: bytes, expected: int) -> None:
    head += b"" if b"Connection" in head else b"Connection: close\r\n"
    answer = exchange(sandbox, POST + head + b"\r\n{}")
    assert status(answer) == expected


def test_an_unread_body_is_not_taken_for_the_next_call(sandbox: SandboxServer) -> None:
    smuggled = b"DELETE /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = exchange(sandbox, POST + HOST + b"\r\n" + smuggled, half_close=True)
    assert status(answer) == 411
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_breaks_off_is_no_call(sandbox: SandboxServer) -> None:
    answer = exchange(sandbox, POST + HOST + b"Content-Length: 10\r\n\r\n{}", half_close=True)
    assert answer == b""
    assert sandbox.events() == []


def test_http_1_0(sandbox: SandboxServer) -> None:
    answer = exchange(sandbox, b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n[]")


def test_calls_sent_ahead_are_answered_in_order(sandbox: SandboxServer) -> None:
    get = b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: %b\r\n\r\n"
    answer = exchange(sandbox, get % (b"/nothing", b"keep-alive") + get % (b"/events", b"close"))
    assert answer.index(b"404 ") < answer.index(b"200 ")


@pytest.mark.parametrize(("length", "interim"), [(2, True), (2_000_000, False)])
def test_a_client_that_asks_before_it_sends(
    sandbox: SandboxServer, length: int, interim: bool
) -> None:
    head = b"Content-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n" % length
    port = int(sandbox.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(POST + HOST + head)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 100 Continue" if interim else b"HTTP/1.1 413")
        if interim:
            connection.sendall(b"{}")
            assert status(connection.recv(65536)) == 400


def test_a_client_that_leaves_before_the_answer(caller: Caller) -> None:
    caller.sandbox.fault({"delay": 0.05, "body": "x" * 5_000_000, "status": 503})
    port = int(caller.sandbox.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(POST + HOST + b"Content-Length: 2\r\n\r\n{}")
        caller.sandbox.wait_for(1, timeout=10)
    assert caller.post().status_code == 200


def test_a_client_that_never_ends_its_body(sandbox: SandboxServer) -> None:
    port = int(sandbox.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(POST + HOST + b"Content-Length: 999999999999\r\n\r\n")
        assert status(connection.recv(65536)) == 413
        with pytest.raises(ConnectionError):
            connection.sendall(b" " * 100_000_000)


@pytest.mark.parametrize("name", ["user_id", "page_id"])
def test_an_unpaired_surrogate_is_kept(caller: Caller, name: str) -> None:
    body: Any = own_body({"body": "home", "set": {name: "a\ud800b"}})
    caller.post(body)
    listed = caller.call("GET", "/events").json()
    assert listed[0]["body"][name] == "a\ud800b"


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity"])
def test_a_number_that_is_none_leaves_the_list_of_events_readable(
    caller: Caller, number: str
) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    body = f'{{"amount": {number}}}'
    answer = caller.session.post(caller.events_url(), data=body, timeout=10)
    assert answer.status_code == 400
    assert number in answer.json()["message"]
    for path in ("/events", "/live"):
        json.loads(caller.call("GET", path).content, parse_constant=refuse)
    assert caller.sandbox.events()[0]["body"] == body
