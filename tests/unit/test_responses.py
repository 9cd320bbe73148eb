from __future__ import annotations

import http.client
import json
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from types import ModuleType
from typing import Any

import pytest
import requests.exceptions
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp.exceptions import NetworkError
from django_moloco_rmp.responses import (
    MAX_MESSAGE_LENGTH,
    TRANSPORT_ERRORS,
    network_error,
    parse_retry_after,
    response_message,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

SECRET = "k3y"

#: Arguments for the classes that cannot be made from a single text.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "PoolError": (None, "no"),
    "RequestError": (None, "/", "no"),
    "ProxyError": ("no", OSError("no")),
    "MaxRetryError": (None, "/", OSError("no")),
    "HostChangedError": (None, "/"),
    "ReadTimeoutError": (None, "/", "no"),
    "NewConnectionError": (None, "no"),
    "NameResolutionError": ("host", None, OSError("no")),
    "EmptyPoolError": (None, "no"),
    "FullPoolError": (None, "no"),
    "ClosedPoolError": (None, "no"),
    "IncompleteRead": (1, 2),
    "InvalidChunkLength": (None, b"xyz"),
    "HeaderParsingError": ([], b"rest"),
    "JSONDecodeError": ("no", "{", 0),
}
CONFIGURATION = {
    "requests.InvalidProxyURL",
    "requests.InvalidSchema",
    "requests.InvalidURL",
    "requests.MissingSchema",
    "requests.URLRequired",
    "urllib3.LocationParseError",
    "urllib3.LocationValueError",
    "urllib3.ProxySchemeUnknown",
    "urllib3.ProxySchemeUnsupported",
    "urllib3.URLSchemeUnknown",
}


class Chunked:
    """The part of an answer that InvalidChunkLength asks for."""

    length_remaining = 1

    def tell(self) -> int:
        return 1


def classes_of(module: ModuleType) -> Iterator[type[Exception]]:
    package = module.__name__.split(".")[0]
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, Exception)
            and value.__module__.split(".")[0] == package
        ):
            yield value


def name_of(cls: type[Exception]) -> str:
    return f"{cls.__module__.split('.')[0]}.{cls.__name__}"


LIBRARY_ERRORS = sorted(
    {*classes_of(requests.exceptions), *classes_of(urllib3.exceptions), *classes_of(http.client)},
    key=name_of,
)


def make(cls: type[Exception]) -> Exception:
    requests_own = cls.__module__.startswith("requests") and cls.__name__ != "JSONDecodeError"
    arguments = () if requests_own else ARGUMENTS.get(cls.__name__, ())
    if cls is urllib3.exceptions.InvalidChunkLength:
        arguments = (Chunked(), b"xyz")
    if cls is http.client.IncompleteRead:
        arguments = (b"x", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cls(*arguments or ("no",))


def test_walk_is_complete() -> None:
    names = {name_of(cls) for cls in LIBRARY_ERRORS}
    assert len(names) > 60
    assert {"requests.ConnectionError", "urllib3.HTTPError", "http.BadStatusLine"} <= names
    assert names >= CONFIGURATION


@pytest.mark.parametrize("cls", LIBRARY_ERRORS, ids=name_of)
def test_every_library_error_becomes_one_network_error(cls: type[Exception]) -> None:
    error = network_error(make(cls))
    assert type(error) is NetworkError
    assert error.message.startswith(cls.__name__)
    assert error.is_configuration is (name_of(cls) in CONFIGURATION)
    assert error.retryable is not error.is_configuration


@pytest.mark.parametrize(
    "cls", [cls for cls in LIBRARY_ERRORS if not issubclass(cls, Warning)], ids=name_of
)
def test_every_library_error_is_caught(cls: type[Exception]) -> None:
    assert issubclass(cls, TRANSPORT_ERRORS)


@pytest.mark.parametrize(
    "error",
    [TimeoutError("slow"), ConnectionResetError(104, "reset"), OSError("no such bundle")],
    ids=repr,
)
def test_every_socket_error_is_a_network_error(error: OSError) -> None:
    assert isinstance(error, TRANSPORT_ERRORS)
    assert network_error(error).retryable


def test_secret_is_masked_in_a_network_error() -> None:
    assert "k3y" not in network_error(OSError("header k3y"), secret=SECRET).message


def test_password_of_a_proxy_is_masked() -> None:
    error = network_error(OSError("cannot reach http://me:pw@proxy:3128/x"))
    assert error.message == "OSError: cannot reach http://***@proxy:3128/x"


def test_an_address_that_cannot_be_read_is_not_shown_as_part_of_it_may_be_a_password() -> None:
    error = network_error(urllib3.exceptions.LocationParseError("me:pa"))
    assert error.message == "LocationParseError: an address cannot be read"
    assert error.is_configuration


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"code": 3, "message": "missing page_id", "details": []}', "missing page_id"),
        (b'{"message": "two\\nlines\\u0000 "}', "two lines"),
        (b'{"code": 3}', '{"code": 3}'),
        (b'{"message": ""}', '{"message": ""}'),
        (b'{"message": ["list"]}', '{"message": ["list"]}'),
        (b'["message"]', '["message"]'),
        (b'{"message": "cut of', '{"message": "cut of'),
        (b"<h1>Bad  Gateway</h1>\r\n", "<h1>Bad Gateway</h1>"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", "Bad Request"),
        (b" \x00\r\n", "Bad Request"),
        (b"[" * 16384, "[" * 500),
    ],
)
def test_message(content: bytes, message: str) -> None:
    assert response_message(content, "Bad Request") == message


def test_message_is_cut_at_500_characters() -> None:
    content = json.dumps({"message": "é" * 501}).encode()
    assert response_message(content, "") == "é" * MAX_MESSAGE_LENGTH == "é" * 500


def test_secret_is_masked_in_a_message() -> None:
    assert response_message(b'{"message": "key k3y is unknown"}', "", secret=SECRET) == (
        "key *** is unknown"
    )


def test_secret_is_masked_before_the_cut() -> None:
    content = b"x" * 498 + b"k3y"
    assert response_message(content, "", secret=SECRET) == "x" * 498 + "**"


@given(st.binary(max_size=2000))
def test_message_is_always_one_short_printable_line(content: bytes) -> None:
    message = response_message(content, "")
    assert len(message) <= 500
    assert message.isprintable()


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as environment:
        environment.setenv("TZ", "Asia/Seoul")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        (format_datetime(NOW, usegmt=True), 0.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30.0),
        ("Sun Mar  1 12:00:30 2026", 30.0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30.0),
    ],
)
@pytest.mark.usefixtures("far_from_greenwich")
def test_retry_after(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOW.timestamp()) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "-1",
        "soon",
        "1.5",
        "1e9",
        "9" * 10,
        "٣",
        "Sun, 01 Mar 2026 11:59:59 GMT",
        "Sun, 99 Mar 2026 12:00:30 GMT",
        "Sun, 01 Mar 99999 12:00:30 GMT",
        "x" * 10_000,
    ],
)
def test_useless_retry_after_is_ignored(value: str | None) -> None:
    assert parse_retry_after(value, NOW.timestamp()) is None


@given(st.text(max_size=80))
def test_any_retry_after_is_survived(value: str) -> None:
    seconds = parse_retry_after(value, NOW.timestamp())
    assert seconds is None or seconds >= 0
