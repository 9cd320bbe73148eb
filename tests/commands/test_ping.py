"""``moloco_ping``. None of these tests has a database: it needs none, and so changes no gate."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import trustme

from django_moloco_rmp.sandbox import SandboxServer
from tests.commands.run import Ran, run
from tests.http_server import Answer, ScriptedServer

KEY = "key-that-is-secret"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def ping(settings: Any) -> Iterator[Any]:
    def ping(url: str, *arguments: str, **moloco_rmp: Any) -> Ran:
        values = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": KEY, "BASE_URL": url}
        settings.MOLOCO_RMP = values | moloco_rmp
        ran = run("moloco_ping", *arguments)
        assert KEY not in ran.out + ran.err
        return ran

    return ping


def test_good_credentials(ping: Any, sandbox: SandboxServer) -> None:
    ran = ping(sandbox.url, API_KEY="test-key")
    assert ran.status == 0
    address, answer, verdict, todo = ran.out.splitlines()
    assert address == f"{sandbox.url}/rmp/event/v1/platforms/SHOP_TEST/userevents"
    assert answer.startswith("HTTP 400 after ")
    assert verdict == "OK: Moloco was reached, and takes the key for this platform."
    assert todo.startswith("To do: Nothing.")


@pytest.mark.parametrize(
    ("moloco_rmp", "status", "todo"),
    [
        ({}, 403, "Set API_KEY"),
        ({"API_KEY": "test-key", "PLATFORM_ID": "SHOP_PROD"}, 404, "Compare PLATFORM_ID"),
    ],
)
def test_bad_credentials(
    ping: Any, sandbox: SandboxServer, moloco_rmp: dict[str, str], status: int, todo: str
) -> None:
    ran = ping(sandbox.url, "--json", **moloco_rmp)
    assert (ran.status, ran.json["is_fine"], ran.json["status"]) == (1, False, status)
    assert todo in ran.json["do"]


@pytest.mark.parametrize(
    ("status", "what", "todo"),
    [
        (301, "sends calls somewhere else", "Set BASE_URL"),
        (401, "refuses the API key", "Set API_KEY"),
        (405, "takes no events", "Set BASE_URL"),
        (407, "wants to know who you are", "HTTPS_PROXY"),
        (418, "none that Moloco documents", "who answers there?"),
        (429, "wants fewer calls", "MAX_QPS"),
        (500, "was reached, and failed", "Wait"),
        (503, "was reached, and failed", "Wait"),
    ],
)
def test_an_answer_that_is_not_fine(ping: Any, status: int, what: str, todo: str) -> None:
    with ScriptedServer(Answer(status, b'{"message": "no"}')) as server:
        ran = ping(server.url)
    assert ran.status == 1
    assert ran.out.splitlines()[1].startswith(f"HTTP {status} after ")
    assert what in ran.out
    assert todo in ran.out.splitlines()[-1]
    assert [request.body for request in server.requests] == [b"{}"]


def test_a_server_that_takes_anything(ping: Any) -> None:
    with ScriptedServer() as server:
        ran = ping(server.url)
    assert ran.status == 0
    assert "Is this Moloco's server?" in ran.out


def test_a_server_that_tells_the_key(ping: Any) -> None:
    with ScriptedServer(Answer(403, f'{{"message": "wrong: {KEY}"}}'.encode())) as server:
        ran = ping(server.url)
    assert "wrong: ***" in ran.out


def test_nobody_listens(ping: Any) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    ran = ping(f"http://127.0.0.1:{port}")
    assert ran.status == 1
    assert "Not OK: Nobody listens at that address and port." in ran.out


def test_an_unknown_name(ping: Any) -> None:
    ran = ping("http://shop-evt.invalid")
    assert "Not OK: The host's name is not known (DNS)." in ran.out


def test_no_answer_in_time(ping: Any) -> None:
    # Connections are accepted by the kernel, and nobody answers.
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        ran = ping(f"http://127.0.0.1:{mute.getsockname()[1]}", TIMEOUT=(5, 0.2))
    assert "Not OK: Connected, but no answer within the time that TIMEOUT allows." in ran.out


def test_a_dropped_connection(ping: Any) -> None:
    with ScriptedServer(Answer(raw=())) as server:
        ran = ping(server.url)
    assert "Not OK: There was no answer: the connection failed." in ran.out


def test_a_certificate_that_is_not_trusted(ping: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(tls=context) as server:
        ran = ping(server.url)
    assert "Not OK: The server's certificate is not trusted (TLS)" in ran.out
    assert server.requests == []


def test_a_server_without_tls(ping: Any) -> None:
    with ScriptedServer() as server:
        ran = ping(server.url.replace("http:", "https:"))
    assert "or it speaks no TLS." in ran.out


def test_no_file_of_certificates(ping: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    ran = ping("https://127.0.0.1:1")
    assert "Not OK: The file of trusted certificates is not there." in ran.out


def test_a_proxy_that_is_not_there(ping: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://user:password@127.0.0.1:{port}")
    ran = ping("http://shop-evt.invalid")
    assert "Not OK: The proxy of the environment does not let it through." in ran.out
    assert "password" not in ran.out


def test_a_proxy_that_is_no_address(ping: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://127.0.0.1")
    ran = ping("http://shop-evt.invalid")
    assert "Not OK: The proxy of the environment does not let it through." in ran.out


def test_a_proxy_whose_password_spoils_its_address(
    ping: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://shop:se/kret@proxy.example:3128")
    ran = ping("http://shop-evt.invalid")
    assert "Not OK: The address cannot be called at all." in ran.out
    assert "LocationParseError: an address cannot be read" in ran.out
    assert "kret" not in ran.out


def test_settings_at_fault(ping: Any) -> None:
    ran = ping("not an address")
    assert ran.status == 1
    assert "MOLOCO_RMP['BASE_URL'] must start with https://." in ran.err


def test_settings_that_are_missing(settings: Any) -> None:
    settings.MOLOCO_RMP = {"PLATFORM_ID": "SHOP_TEST"}
    assert "MOLOCO_RMP['API_KEY'] is required" in run("moloco_ping").err


def test_a_shop_that_sends_nothing(ping: Any, sandbox: SandboxServer) -> None:
    ran = ping(sandbox.url, API_KEY="test-key", ENABLED=False)
    assert ran.out.endswith("MOLOCO_RMP['ENABLED'] is False: no events are recorded or sent.\n")
