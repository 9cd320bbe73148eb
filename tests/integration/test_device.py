"""The shopper's device, address and language in real requests, and headers that are garbage."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import AsyncClient, Client
from hypothesis import given, settings
from hypothesis import strategies as st

from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.wire import to_wire
from tests.contract_schema import problems
from tests.integration.visits import FIREFOX, IPHONE, configured, event_of, get
from tests.strategies import any_text

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.shopper_urls")]

SHOPPER, LIAR, PROXY, OUTER_PROXY = "203.0.113.9", "198.51.100.1", "10.0.0.1", "10.0.0.2"


def ip_of(remote: str, **headers: str) -> str | None:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return event_of(Client(), REMOTE_ADDR=remote, headers=headers).device.ip


def test_the_peer_is_the_shopper_where_there_are_no_proxies() -> None:
    assert ip_of(SHOPPER) == SHOPPER
    assert ip_of(SHOPPER, x_forwarded_for=LIAR, forwarded=f"for={LIAR}") == SHOPPER


@pytest.mark.parametrize("proxies", [["10.0.0.0/8"], [f"{PROXY}/32", f"{OUTER_PROXY}/32"], 2])
def test_behind_two_proxies_the_shopper_is_whom_the_outer_one_saw(proxies: Any) -> None:
    seen = f"{SHOPPER}, {OUTER_PROXY}"
    with configured(TRUSTED_PROXIES=proxies):
        assert ip_of(PROXY, x_forwarded_for=seen) == SHOPPER
        assert ip_of(PROXY, x_forwarded_for=f"{LIAR}, {seen}") == SHOPPER
        assert ip_of(PROXY, forwarded=f"for={SHOPPER};proto=https, for={OUTER_PROXY}") == SHOPPER
        assert ip_of(PROXY, forwarded=f'for={LIAR}, for="{SHOPPER}:80", for={OUTER_PROXY}') == (
            SHOPPER
        )


@configured(TRUSTED_PROXIES=["10.0.0.0/8"])
def test_who_comes_past_the_proxies_cannot_forge_an_address() -> None:
    assert ip_of(SHOPPER, x_forwarded_for=LIAR) == SHOPPER
    assert ip_of(SHOPPER, x_forwarded_for=f"{LIAR}, {PROXY}") == SHOPPER


@configured(TRUSTED_PROXIES=1)
def test_a_unix_socket_has_no_peer_but_a_count_works() -> None:
    assert ip_of("", x_forwarded_for=SHOPPER) == SHOPPER


@pytest.mark.parametrize(
    ("send_ip", "sent"), [(True, "203.0.113.9"), ("truncated", "203.0.113.0"), (False, None)]
)
def test_the_shop_says_how_much_of_the_address_is_sent(send_ip: Any, sent: str | None) -> None:
    with configured(SEND_IP=send_ip):
        assert ip_of(SHOPPER) == sent


def test_ipv6_is_left_out_since_the_api_does_not_take_it() -> None:
    assert ip_of("2001:db8::9") is None
    assert ip_of("::ffff:203.0.113.9") == SHOPPER


def test_the_peer_of_an_asgi_server_is_found_too() -> None:
    visitor = AsyncClient()
    assert event_of(visitor).device.ip == "127.0.0.1"
    with configured(TRUSTED_PROXIES=1):
        assert event_of(visitor, headers={"x-forwarded-for": SHOPPER}).device.ip == SHOPPER


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("EN-us", "en"),
        ("en;q=0.1, fr;q=0.9", "fr"),
        ("*, pt-BR;q=0.5", "pt"),
        ("fil, tl;q=0.5", "tl"),
        pytest.param("de-AT," + "en;q=0.5," * 22 + "fr;q=0.1", "de", id="long"),
        ("*", None),
        ("fil", None),
        ("Deutsch, bitte!", None),
        ("", None),
    ],
)
def test_the_language_is_the_most_wanted_one_of_two_letters(
    client: Client, header: str, language: str | None
) -> None:
    assert event_of(client, headers={"accept-language": header}).device.language == language


def test_the_device_is_what_the_browser_says(client: Client) -> None:
    body = to_wire(event_of(client, headers={"user-agent": IPHONE}))
    device = body["device"]
    assert (device["os"], device["os_version"], device["model"]) == ("iOS", "17.5", "iPhone")
    assert device["ua"] == IPHONE
    assert body["channel_type"] == "SITE"


@pytest.mark.parametrize("sent", ["Br\xc3\xb6wser", "Br\xf6wser", " Br\xf6w\0ser\x85"])
def test_the_user_agent_is_what_was_meant(client: Client, sent: str) -> None:
    assert event_of(client, headers={"user-agent": sent}).device.ua == "Bröwser"


@configured(CHANNEL_TYPE="auto", DOMAIN="shop.example")
def test_the_channel_may_follow_the_device(client: Client) -> None:
    phone = to_wire(event_of(client, headers={"user-agent": IPHONE}))
    desktop = to_wire(event_of(client, headers={"user-agent": FIREFOX}))
    unknown = to_wire(event_of(client))
    channels = [body["channel_type"] for body in (phone, desktop, unknown)]
    assert channels == ["MOBILE_SITE", "DESKTOP_SITE", "DESKTOP_SITE"]
    assert phone["domain"] == "shop.example"


@configured(CHANNEL_TYPE="DESKTOP_SITE")
def test_the_channel_may_be_fixed(client: Client) -> None:
    assert to_wire(event_of(client, headers={"user-agent": IPHONE}))["channel_type"] == (
        "DESKTOP_SITE"
    )


LONG = 10_000
GARBAGE = [
    pytest.param({"user-agent": "Mozilla " * (LONG // 8)}, id="long user agent"),
    pytest.param({"user-agent": "\0\x07Mozilla\r\n\x7f"}, id="control characters"),
    pytest.param({"user-agent": "Br\xf6wser \xff\xfe"}, id="not UTF-8"),
    pytest.param({"user-agent": "Br\xc3\xb6wser"}, id="UTF-8"),
    pytest.param({"x-forwarded-for": ", ".join([SHOPPER] * 1000)}, id="a thousand hops"),
    pytest.param({"x-forwarded-for": "," * LONG, "forwarded": '"' * LONG}, id="broken hops"),
    pytest.param({"cookie": "a=b; " * 2000 + "moloco_pid=" + "0" * LONG}, id="cookie bomb"),
    pytest.param({"cookie": 'moloco_pid="\\377\\"; ;;=;\xff'}, id="broken cookies"),
    pytest.param({"accept-language": "x" * LONG}, id="long language"),
    pytest.param({"accept-language": "de-" * 3000 + ",\0;q=nan"}, id="broken language"),
    pytest.param({"referer": "http://[::1/\0?" + "x" * LONG}, id="broken referrer"),
    pytest.param({"referer": "javascript:alert(1)"}, id="referrer that is no page"),
    pytest.param({"host": "no host/../:99999"}, id="broken host"),
    pytest.param({"host": "elsewhere.example", "referer": "http://a/b"}, id="host of another"),
    pytest.param({"sec-gpc": "\xff" * LONG, "purpose": "\0" * LONG}, id="broken wishes"),
]


@configured(TRUSTED_PROXIES=["0.0.0.0/0"])
@pytest.mark.parametrize("headers", GARBAGE)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_garbage_makes_a_valid_event(kind: type[Client], headers: dict[str, str]) -> None:
    body = to_wire(event_of(kind(), headers=headers))
    assert problems(body) == []
    assert len(body["device"].get("ua", "")) <= 512
    assert body["device"].get("ua", "").isprintable()


header_bytes = st.text(st.characters(max_codepoint=255), max_size=200)


@settings(max_examples=60)
@configured(TRUSTED_PROXIES=["0.0.0.0/0"])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            # Some servers hand over what they could not decode as unpaired surrogates.
            "HTTP_USER_AGENT": header_bytes | any_text,
            "HTTP_ACCEPT_LANGUAGE": header_bytes | any_text,
            "HTTP_REFERER": header_bytes | any_text.map("http://testserver/p/{}/".format),
            "HTTP_X_FORWARDED_FOR": header_bytes | any_text,
            "HTTP_FORWARDED": header_bytes | any_text,
            "HTTP_COOKIE": header_bytes | header_bytes.map("moloco_pid={}".format),
            "HTTP_HOST": header_bytes | any_text,
            "HTTP_SEC_GPC": header_bytes | st.just("1"),
            "HTTP_SEC_PURPOSE": header_bytes,
            "REMOTE_ADDR": st.ip_addresses().map(str) | any_text,
        },
    )
)
def test_any_headers_make_a_valid_event(environ: dict[str, str]) -> None:
    OutboxEvent.objects.all().delete()
    assert problems(to_wire(event_of(Client(), **environ))) == []
    assert OutboxEvent.objects.count() == 1


@configured(RAISE_ERRORS=False)
def test_a_page_outlives_a_setting_that_is_wrong(client: Client) -> None:
    with configured(RAISE_ERRORS=False, SEND_IP="maybe"):
        get(client, "/emit/")
        assert get(client, "/identifiers/").json() == {}
    assert not OutboxEvent.objects.exists()
