from __future__ import annotations

import gc
import gzip
import json
import pickle
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import pytest
import trustme

from django_moloco_rmp.client import EventClient, user_agent
from django_moloco_rmp.endpoints import endpoint
from django_moloco_rmp.events import ChannelType, Event, EventType, Item, Money
from django_moloco_rmp.exceptions import (
    APIError,
    BadRequestError,
    DeliveryError,
    InternalServerError,
    NetworkError,
    TooManyRequestsError,
    UnknownError,
    api_error,
)
from django_moloco_rmp.wire import dumps
from tests.http_server import Answer, ScriptedServer

KEY = "k3y-0123456789abcdef"
PATH = "/rmp/event/v1/platforms/SHOP_TEST/userevents"
#: Long enough for a busy machine where nothing is meant to time out.
PATIENT = (10.0, 10.0)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def client_of(server: ScriptedServer, **options: Any) -> EventClient:
    return EventClient("SHOP_TEST", KEY, base_url=server.url, **{"timeout": PATIENT} | options)


def failure_of(*answers: Answer, **options: Any) -> DeliveryError:
    with (
        ScriptedServer(*answers) as server,
        client_of(server, **options) as client,
        pytest.raises(DeliveryError) as caught,
    ):
        client.insert_body("{}")
    return caught.value


@pytest.mark.parametrize(
    ("platform_id", "options", "url"),
    [
        ("SHOP_TEST", {}, "https://shop-test-evt.rmp-api.moloco.com" + PATH),
        (
            "SHOP_TEST",
            {"platform_name": "My  Shop_2"},
            "https://my-shop-2-evt.rmp-api.moloco.com" + PATH,
        ),
        (
            "SHOP_TEST",
            {"domain_suffix": "mcm-api.moloco.com"},
            "https://shop-test-evt.mcm-api.moloco.com" + PATH,
        ),
        (
            "SANDBOX",
            {"domain_suffix": "mcm-api.moloco.com"},
            "https://sandbox-evt.mcm-api.moloco.com/rmp/event/v1/platforms/SANDBOX/userevents",
        ),
        ("SHOP_TEST", {"base_url": "https://evt-sel.example"}, "https://evt-sel.example" + PATH),
        ("SHOP_TEST", {"base_url": "http://127.0.0.1:8010/"}, "http://127.0.0.1:8010" + PATH),
        ("SHOP_TEST", {"base_url": "http://[::1]:8010"}, "http://[::1]:8010" + PATH),
        ("SHOP_TEST", {"base_url": "https://gate.example/m"}, "https://gate.example/m" + PATH),
        (
            "A/B ?é",
            {"base_url": "https://host"},
            "https://host/rmp/event/v1/platforms/A%2FB%20%3F%C3%A9/userevents",
        ),
    ],
)
def test_endpoint(platform_id: str, options: dict[str, Any], url: str) -> None:
    assert endpoint(platform_id, **options) == url


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("platform_id", value) for value in ["", " ", "A\r\nX: y", "A\n", " A", ".", ".."]),
        *(("platform_name", value) for value in [" ", "a/b", "a.b", "a@b", "a\nb", "-a", "é"]),
        ("platform_name", "a" * 60),
        *(("domain_suffix", value) for value in ["", "a/b", "a b", "a\n", "x@y", ".a", "a:1"]),
        *(
            ("base_url", value)
            for value in [
                *("", "host", "//host", "ftp://host", "https://", "https://:443", "https://h:x"),
                *(
                    "https://h:0",
                    "https://h:70000",
                    "https://[::1",
                    "https://h\r\nX:y",
                    "https://h h",
                    "https://h\n",
                    "https://h\t",
                ),
                *("https://u:p@h", "https://h?x", "https://h#x", "https://.h", "https://é.x"),
            ]
        ),
    ],
)
def test_endpoint_refuses_and_names_the_argument(argument: str, value: str) -> None:
    arguments: dict[str, Any] = {"platform_id": "SHOP_TEST", argument: value}
    with pytest.raises(ValueError, match=argument):
        endpoint(**arguments)


@pytest.mark.parametrize("platform_id", ["", ".", ".."])
def test_platform_id_that_would_change_the_path_is_refused(platform_id: str) -> None:
    with pytest.raises(ValueError, match="platform_id"):
        endpoint(platform_id, base_url="https://host")


@pytest.mark.parametrize("key", ["", " ", "a b", "key\n", "k\r\nX: y", "k\x00", "ké"])
def test_unusable_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        EventClient("SHOP_TEST", key)
    assert repr(key) not in str(caught.value)


def test_one_post_with_the_headers_of_the_api() -> None:
    with ScriptedServer() as server, client_of(server) as client:
        client.insert_body('{"id":"1"}')
    [request] = server.requests
    assert (request.method, request.path, request.body) == ("POST", PATH, b'{"id":"1"}')
    assert request.headers == {
        "Host": f"127.0.0.1:{server.port}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Length": "10",
        "Content-Type": "application/json",
        "User-Agent": user_agent("django-moloco-rmp"),
        "X-API-Key": KEY,
    }


def test_user_agent_names_the_release() -> None:
    assert user_agent("requests") == f"requests/{version('requests')}"


def test_user_agent_of_a_checkout() -> None:
    assert user_agent("django-moloco-rmp-of-nowhere") == "django-moloco-rmp-of-nowhere/0"


def test_platform_id_stays_encoded_on_the_wire() -> None:
    with (
        ScriptedServer() as server,
        EventClient("A/B%é", KEY, base_url=server.url, timeout=PATIENT) as client,
    ):
        client.insert_body("{}")
    assert server.requests[0].path == "/rmp/event/v1/platforms/A%2FB%25%C3%A9/userevents"


def test_event_goes_out_as_its_body() -> None:
    event = Event(
        event_type=EventType.PURCHASE,
        timestamp=1_700_000_000_000,
        channel_type=ChannelType.SITE,
        id="order-17",
        user_id="shopper",
        items=(Item("p", price=Money("19.90", "EUR"), quantity=1),),
        revenue=Money("19.90", "EUR"),
    )
    with ScriptedServer() as server, client_of(server) as client:
        client.insert_event(event)
    assert server.requests[0].body == dumps(event).encode()
    assert b'"amount":19.9}' in server.requests[0].body


def test_length_follows_the_body() -> None:
    bodies = ["{}", '{"id":"longer"}', '{"é":1}']
    with ScriptedServer() as server, client_of(server) as client:
        for body in bodies:
            client.insert_body(body)
    assert [request.body.decode() for request in server.requests] == bodies


def test_connection_is_kept() -> None:
    answers = [Answer(body=b"{}"), Answer(400, b'{"message": "no"}'), Answer(204)]
    with ScriptedServer(*answers) as server, client_of(server) as client:
        client.insert_body("{}")
        with pytest.raises(BadRequestError):
            client.insert_body("{}")
        client.insert_body("{}")
    assert len(server.requests) == 3
    assert server.connections == 1


def test_connection_is_kept_after_a_chunked_answer() -> None:
    chunked = [
        b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n",
        b'a\r\n{"message"\r\n',
        b'7\r\n: "no"}\r\n0\r\n\r\n',
    ]
    with (
        ScriptedServer(Answer(raw=chunked, keep_alive=True)) as server,
        client_of(server) as client,
    ):
        with pytest.raises(BadRequestError, match="no"):
            client.insert_body("{}")
        client.insert_body("{}")
    assert server.connections == 1


def test_closed_connection_is_opened_anew() -> None:
    answers = [Answer(headers={"Connection": "close"}), Answer()]
    with ScriptedServer(*answers) as server, client_of(server) as client:
        client.insert_body("{}")
        client.insert_body("{}")
    assert server.connections == 2


def test_client_may_be_used_after_close() -> None:
    with ScriptedServer() as server, client_of(server) as client:
        client.close()
        client.insert_body("{}")
    assert len(server.requests) == 1


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads take turns a thousand times more often, so that they meet in every place."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(interval / 1000)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_threads")
def test_threads_share_a_client_within_its_pool() -> None:
    bodies = [json.dumps({"id": "x" * length}) for length in range(200)]
    with (
        ScriptedServer() as server,
        client_of(server, pool_size=4) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        list(threads.map(client.insert_body, bodies))
    assert sorted(request.body.decode() for request in server.requests) == sorted(bodies)
    assert server.connections <= 4


def test_every_kind_of_answer_gives_its_connection_back() -> None:
    answers = [
        Answer(raw=[b"HTTP/1.1 103 Early Hints\r\n\r\n"], keep_alive=True),
        Answer(raw=[b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * 100_000], keep_alive=True),
        Answer(raw=[b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]),
        Answer(raw=[]),
        Answer(302),
        Answer(204),
        Answer(200, b"{}"),
    ]
    count = len(answers)
    with ScriptedServer(*answers) as server, client_of(server, pool_size=1) as client:

        def post() -> None:
            for _ in range(count):
                with suppress(DeliveryError):
                    client.insert_body("{}")

        # A connection that is not given back would make the next call wait for ever.
        thread = threading.Thread(target=post, daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
    assert len(server.requests) == count


def test_any_2xx_is_a_success() -> None:
    statuses = range(200, 300)
    with (
        ScriptedServer(*(Answer(status, b"whatever") for status in statuses)) as server,
        client_of(server) as client,
    ):
        for _ in statuses:
            client.insert_body("{}")
    assert not server.answers


def test_every_other_status_is_its_error() -> None:
    statuses = [*range(300, 600), 600, 999]
    seen: list[type[DeliveryError]] = []
    with (
        ScriptedServer(*(Answer(status, b"no") for status in statuses)) as server,
        client_of(server) as client,
    ):
        for status in statuses:
            with pytest.raises(APIError) as caught:
                client.insert_body("{}")
            assert caught.value.status == status
            seen.append(type(caught.value))
    assert seen == [type(api_error(status, "")) for status in statuses]


@pytest.mark.parametrize("status", [101, 102, 103, 199])
def test_interim_answer_is_never_taken_for_the_answer_to_the_next_event(status: int) -> None:
    interim = [
        f"HTTP/1.1 {status} Wait\r\n\r\n".encode() + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    ]
    with (
        ScriptedServer(Answer(raw=interim, keep_alive=True), Answer(400)) as server,
        client_of(server) as client,
    ):
        with pytest.raises(UnknownError) as caught:
            client.insert_body("{}")
        assert caught.value.retryable
        with pytest.raises(BadRequestError):
            client.insert_body("{}")
    assert server.connections == 2


def test_100_continue_is_skipped() -> None:
    raw = [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
    with ScriptedServer(Answer(raw=raw)) as server, client_of(server) as client:
        client.insert_body("{}")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_redirect_is_not_followed_and_the_key_does_not_travel(status: int) -> None:
    with ScriptedServer() as elsewhere:
        redirect = Answer(status, headers={"Location": f"{elsewhere.url}{PATH}"})
        with (
            ScriptedServer(redirect) as server,
            client_of(server) as client,
            pytest.raises(UnknownError) as caught,
        ):
            client.insert_body("{}")
    assert caught.value.is_configuration
    assert elsewhere.requests == []


def test_cookies_are_not_kept() -> None:
    answers = [Answer(headers={"Set-Cookie": "a=b"}), Answer()]
    with ScriptedServer(*answers) as server, client_of(server) as client:
        client.insert_body("{}")
        client.insert_body("{}")
    assert "Cookie" not in server.requests[1].headers


def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pw")
    monkeypatch.setenv("NETRC", str(netrc))
    with ScriptedServer() as server, client_of(server) as client:
        client.insert_body("{}")
    assert "Authorization" not in server.requests[0].headers


def test_message_of_the_vendor() -> None:
    body = b'{"code": 3, "message": "missing page_id", "details": []}'
    error = failure_of(Answer(400, body))
    assert (error.message, error.status) == ("missing page_id", 400)


@pytest.mark.parametrize("body", [b"", b"   "])
def test_reason_stands_in_for_an_empty_answer(body: bytes) -> None:
    assert failure_of(Answer(503, body)).message == "Service Unavailable"


def test_answer_without_reason_and_body() -> None:
    raw = [b"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n"]
    assert failure_of(Answer(raw=raw)).message == ""


def test_message_is_cut_at_500_characters() -> None:
    body = json.dumps({"message": "x" * 3000}).encode()
    assert failure_of(Answer(400, body)).message == "x" * 500


def test_compressed_answer_is_not_unpacked() -> None:
    body = gzip.compress(b'{"message": "x"}')
    error = failure_of(Answer(400, body, headers={"Content-Encoding": "gzip"}))
    assert error.message == "Bad Request"


@pytest.mark.parametrize(("value", "seconds"), [("17", 17.0), ("soon", None), ("-3", None)])
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    error = failure_of(Answer(429, headers={"Retry-After": value}))
    assert type(error) is TooManyRequestsError
    assert error.retry_after == seconds


def test_retry_after_as_a_date() -> None:
    moment = datetime.now(UTC) + timedelta(hours=2)
    error = failure_of(Answer(503, headers={"Retry-After": format_datetime(moment, usegmt=True)}))
    assert error.retry_after is not None
    assert 7000 < error.retry_after <= 7200


def test_endless_answer_is_read_in_part() -> None:
    head = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    answer = Answer(raw=chain([head], repeat(b"x" * 65536, 1000)))
    with (
        ScriptedServer(answer) as server,
        client_of(server) as client,
        pytest.raises(BadRequestError) as caught,
    ):
        client.insert_body("{}")
    # The server notices that the client hung up, long before it has said it all.
    assert answer.ended.wait(10)
    assert not answer.written.is_set()
    assert caught.value.message == "x" * 500


def dripping(*head: bytes) -> tuple[Answer, threading.Event]:
    """An answer of which a byte comes in time for each read, for 20 seconds; and what ends it."""
    over = threading.Event()

    def slowly(piece: bytes) -> bytes:
        over.wait(0.05)
        return piece

    return Answer(raw=map(slowly, chain(head, repeat(b"x", 400)))), over


def test_answer_that_trickles_is_cut_off() -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000000\r\n\r\n"
    answer, over = dripping(head)
    with (
        ScriptedServer(answer) as server,
        client_of(server, timeout=(10.0, 0.5)) as client,
        pytest.raises(InternalServerError) as caught,
    ):
        client.insert_body("{}")
    assert not answer.written.is_set()
    over.set()
    assert set(caught.value.message) == {"x"}


@pytest.mark.parametrize(
    "head", [(), (b"HTTP/1.1 200 OK\r\nX: ",), (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ",)]
)
@pytest.mark.parametrize("encrypted", [False, True])
def test_answer_whose_head_trickles_is_a_network_error(
    encrypted: bool,
    head: tuple[bytes, ...],
    tls: ssl.SSLContext,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    answer, over = dripping(*head)
    with (
        ScriptedServer(answer, tls=tls if encrypted else None) as server,
        client_of(server, timeout=(10.0, 0.5)) as client,
    ):
        start = time.monotonic()
        with pytest.raises(NetworkError, match="ReadTimeout") as caught:
            client.insert_body("{}")
        assert 0.4 < time.monotonic() - start < 5
        assert caught.value.retryable
        assert not answer.written.is_set()
        over.set()
        # The client is none the worse for it, and time is given to each answer anew.
        client.insert_body("{}")
    assert len(server.requests) == 2


# Older releases of Python 3.11 leave the proxy's answer to be collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_proxy_whose_answer_trickles_is_a_network_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, over = dripping(b"HTTP/1.1 200 OK\r\nX: ")
    with ScriptedServer(answer) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with (
            EventClient("SHOP_TEST", KEY, base_url="https://shop.invalid", timeout=(0.5, 10)) as c,
            pytest.raises(NetworkError, match="timed out"),
        ):
            c.insert_body("{}")
        assert not answer.written.is_set()
        over.set()
    assert proxy.requests[0].method == "CONNECT"
    gc.collect()


def test_answer_that_falls_silent_just_before_its_time_gets_no_more_of_it() -> None:
    over = threading.Event()

    def pieces() -> Iterator[bytes]:
        over.wait(1.4)
        yield b"H"
        over.wait(10)

    with (
        ScriptedServer(Answer(raw=pieces())) as server,
        client_of(server, timeout=(10.0, 1.5)) as client,
    ):
        start = time.monotonic()
        with pytest.raises(NetworkError, match="ReadTimeout"):
            client.insert_body("{}")
        # And not 2.9 seconds.
        assert time.monotonic() - start < 2.7
        over.set()


def test_answer_that_has_no_time_left_is_not_waited_for() -> None:
    assert "ReadTimeout" in failure_of(Answer(), timeout=(10.0, 1e-9)).message


def test_answer_in_time_may_come_in_pieces() -> None:
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n"
    answer, _ = dripping(head, b"\r\n")
    answer.keep_alive = True
    answer.raw = islice(answer.raw or (), 5)
    with ScriptedServer(answer) as server, client_of(server, timeout=(10.0, 5.0)) as client:
        with pytest.raises(BadRequestError, match="xxx"):
            client.insert_body("{}")
        client.insert_body("{}")
    assert server.connections == 1


def test_longest_call(monkeypatch: pytest.MonkeyPatch) -> None:
    client = EventClient("SHOP_TEST", KEY, base_url="https://shop.invalid", timeout=(3, 10))
    assert client.longest_call == 22
    monkeypatch.setenv("https_proxy", "http://proxy.invalid")
    client = EventClient("SHOP_TEST", KEY, base_url="https://shop.invalid", timeout=(3, 10))
    assert client.longest_call == 31


def test_silent_server_times_out() -> None:
    over = threading.Event()

    def pieces() -> Iterator[bytes]:
        over.wait(10)
        yield b""

    with (
        ScriptedServer(Answer(raw=pieces())) as server,
        client_of(server, timeout=(10.0, 0.2)) as client,
        pytest.raises(NetworkError, match="ReadTimeout") as caught,
    ):
        client.insert_body("{}")
    over.set()
    assert caught.value.retryable


def test_closed_port_is_a_network_error() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with (
            EventClient("SHOP_TEST", KEY, base_url=f"http://127.0.0.1:{port}") as client,
            pytest.raises(NetworkError, match="refused") as caught,
        ):
            client.insert_body("{}")
    assert caught.value.retryable


@pytest.mark.parametrize(
    "raw",
    [
        [],
        [b"HTTP/1.1 2"],
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
        [b"HTTP/1.1 42 What\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"],
        [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n"],
    ],
    ids=["dropped", "cut", "ssh", "status", "lengths", "headers", "header"],
)
def test_broken_answer_is_a_network_error(raw: list[bytes]) -> None:
    error = failure_of(Answer(raw=raw))
    assert type(error) is NetworkError
    assert error.retryable


def test_client_works_again_after_a_broken_answer() -> None:
    with ScriptedServer(Answer(raw=[])) as server, client_of(server) as client:
        with pytest.raises(NetworkError):
            client.insert_body("{}")
        client.insert_body("{}")
    assert len(server.requests) == 2


def test_accepted_is_accepted_even_if_the_rest_breaks_off() -> None:
    raw = [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"]
    with ScriptedServer(Answer(raw=raw)) as server, client_of(server) as client:
        client.insert_body("{}")
    assert len(server.requests) == 1


def test_refused_is_refused_even_if_the_rest_breaks_off() -> None:
    raw = [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\nno pa"]
    error = failure_of(Answer(raw=raw))
    assert (type(error), error.message) == (BadRequestError, "no pa")


@pytest.mark.parametrize("host", ["a..b", "a" * 64], ids=["empty-label", "long-label"])
def test_host_that_cannot_be_is_a_configuration_error(host: str) -> None:
    with (
        EventClient("SHOP_TEST", KEY, base_url=f"http://{host}") as client,
        pytest.raises(NetworkError) as caught,
    ):
        client.insert_body("{}")
    assert caught.value.is_configuration


def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:pw@"))
        with EventClient("SHOP_TEST", KEY, base_url="http://shop.invalid") as client:
            client.insert_body("{}")
    assert proxy.requests[0].path == f"http://shop.invalid{PATH}"
    assert proxy.requests[0].headers["Proxy-Authorization"].startswith("Basic ")


def test_exception_to_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as proxy, ScriptedServer() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with client_of(server) as client:
            client.insert_body("{}")
    assert (len(proxy.requests), len(server.requests)) == (0, 1)


def test_proxy_that_wants_a_password_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ScriptedServer(Answer(407)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with (
            EventClient("SHOP_TEST", KEY, base_url="http://shop.invalid") as client,
            pytest.raises(UnknownError) as caught,
        ):
            client.insert_body("{}")
    assert caught.value.is_configuration


@pytest.mark.parametrize(
    "proxy",
    ["http://[bad", "http://", "foo://host", "http://host:99999", "http://us\u20acr:p@127.0.0.1:9"],
)
def test_malformed_proxy_is_a_configuration_error(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with (
        EventClient("SHOP_TEST", KEY, base_url="http://shop.invalid") as client,
        pytest.raises(NetworkError) as caught,
    ):
        client.insert_body("{}")
    assert caught.value.is_configuration
    assert not caught.value.retryable


def test_certificate_of_a_stranger_is_refused(tls: ssl.SSLContext) -> None:
    with (
        ScriptedServer(tls=tls) as server,
        client_of(server) as client,
        pytest.raises(NetworkError, match="CERTIFICATE_VERIFY_FAILED") as caught,
    ):
        client.insert_body("{}")
    assert caught.value.retryable
    assert server.requests == []


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificate_of_a_bundle_in_the_environment_is_accepted(
    name: str,
    tls: ssl.SSLContext,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv(name, str(bundle))
    with ScriptedServer(tls=tls) as server, client_of(server) as client:
        client.insert_body("{}")
    assert len(server.requests) == 1


def test_certificate_of_another_host_is_refused(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    with (
        ScriptedServer(tls=context) as server,
        client_of(server) as client,
        pytest.raises(NetworkError, match="mismatch"),
    ):
        client.insert_body("{}")
    assert server.requests == []


def test_missing_bundle_is_a_network_error(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    with (
        ScriptedServer(tls=tls) as server,
        client_of(server) as client,
        pytest.raises(NetworkError, match=r"/nowhere/bundle\.pem"),
    ):
        client.insert_body("{}")


def test_key_is_in_no_repr() -> None:
    client = EventClient("SHOP_TEST", KEY)
    assert KEY not in repr(client)
    assert KEY not in str(client)
    assert repr(client) == f"EventClient(url='{client.url}', api_key='***')"


ERRORS_ABOUT_THE_KEY = [
    Answer(401, json.dumps({"message": f"key {KEY} has expired"}).encode()),
    Answer(500, f"X-API-Key: {KEY}".encode()),
    Answer(raw=[f"HTTP/1.1 400 {KEY}\r\nContent-Length: 0\r\n\r\n".encode()]),
    Answer(raw=[f"{KEY} is no HTTP\r\n".encode()]),
]


@pytest.mark.parametrize("answer", ERRORS_ABOUT_THE_KEY, ids=["json", "text", "reason", "garbage"])
def test_key_is_in_no_error(answer: Answer) -> None:
    error = failure_of(answer)
    assert KEY not in str(error)
    assert KEY not in repr(error)
    assert KEY.encode() not in pickle.dumps(error)
    assert "***" in str(error)


@pytest.mark.parametrize("raw", [None, []], ids=["answer", "network"])
def test_error_brings_no_request_along(raw: list[bytes] | None) -> None:
    error = failure_of(Answer(400, raw=raw))
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("raw", [None, []], ids=["answer", "network"])
def test_traceback_shows_no_key(raw: list[bytes] | None) -> None:
    error = failure_of(Answer(400, raw=raw))
    shown = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals["__name__"].startswith("django_moloco_rmp"):
            shown.append(repr(trace.tb_frame.f_locals))
        trace = trace.tb_next
    assert shown
    assert KEY not in "".join(shown)
