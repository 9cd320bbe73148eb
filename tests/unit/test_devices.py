from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given

from django_moloco_rmp.devices import (
    MAX_USER_AGENT_LENGTH,
    UserAgent,
    clean_user_agent,
    parse_user_agent,
    warm_up,
)
from tests.strategies import any_text

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
NOTHING = UserAgent(os=None, os_version=None, model=None, is_bot=False, is_mobile=False)


@pytest.mark.parametrize(
    ("ua", "os", "os_version", "model", "is_mobile"),
    [
        pytest.param(IPHONE, "iOS", "17.5.1", "iPhone", True, id="iphone"),
        pytest.param(
            IPHONE.replace("iPhone; CPU iPhone OS 17_5_1", "iPad; CPU OS 17_5"),
            "iOS",
            "17.5",
            "iPad",
            True,
            id="ipad",
        ),
        pytest.param(
            f"Mozilla/5.0 (Linux; Android 14; SM-S918B) {WEBKIT} Chrome/126.0.0.0 Mobile Safari",
            "Android",
            "14",
            "SM-S918B",
            True,
            id="android phone",
        ),
        pytest.param(
            f"Mozilla/5.0 (Linux; Android 13; SM-X906C) {WEBKIT} Chrome/126.0.0.0 Safari/537.36",
            "Android",
            "13",
            "SM-X906C",
            True,
            id="android tablet",
        ),
        pytest.param(
            f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36",
            "Android",
            "10",
            None,
            True,
            id="chrome with a reduced user agent",
        ),
        pytest.param(
            "Mozilla/5.0 (Android 13; Tablet; rv:127.0) Gecko/127.0 Firefox/127.0",
            "Android",
            "13",
            None,
            True,
            id="firefox names the kind instead of the model",
        ),
        pytest.param(
            "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80; Opera Mobi/23.348; U; en) Presto/2.5.25",
            None,
            None,
            None,
            True,
            id="phone of an unknown system",
        ),
        pytest.param(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15",
            "Mac OS X",
            "10.15.7",
            "Mac",
            False,
            id="mac",
        ),
        pytest.param(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
            "Windows",
            "10",
            None,
            False,
            id="windows",
        ),
        pytest.param(
            f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/126.0.0.0 Safari/537.36",
            "Linux",
            None,
            None,
            False,
            id="linux",
        ),
        pytest.param("curl/8.5.0", None, None, None, False, id="curl"),
    ],
)
def test_parse(
    ua: str, os: str | None, os_version: str | None, model: str | None, is_mobile: bool
) -> None:
    assert parse_user_agent(ua) == UserAgent(os, os_version, model, False, is_mobile)


@pytest.mark.parametrize(
    "ua",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) {WEBKIT} Chrome/126 Mobile Safari/537.36"
        " (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    ],
)
def test_crawlers_are_bots(ua: str) -> None:
    assert parse_user_agent(ua).is_bot


def test_bot_has_no_model() -> None:
    ua = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    assert parse_user_agent(ua).model is None


def test_system_that_the_patterns_call_other_is_not_found() -> None:
    ua = (
        "Mozilla/5.0 (Linux; Android 7.0;) AppleWebKit/537.36 Mobile Safari/537.36"
        " (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)"
    )
    assert parse_user_agent(ua).os is None
    assert parse_user_agent(ua).os_version is None


@pytest.mark.parametrize("ua", ["", " ", "\x00\x01", "\udcff", "Other", "漢字", "a" * 10_000])
def test_nothing_is_found_in_nonsense(ua: str) -> None:
    assert parse_user_agent(ua) == NOTHING


def test_what_follows_ten_thousand_characters_is_not_seen() -> None:
    assert parse_user_agent("x" * 10_000 + IPHONE) == NOTHING


def test_same_text_is_parsed_once() -> None:
    assert parse_user_agent(IPHONE) is parse_user_agent(IPHONE)


def test_texts_that_are_the_same_once_clean_are_parsed_once() -> None:
    assert parse_user_agent(IPHONE + "\x00") is parse_user_agent(IPHONE)


@given(any_text)
def test_any_text_can_be_parsed(raw: str) -> None:
    assert isinstance(parse_user_agent(raw), UserAgent)


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        pytest.param(None, None, id="no header"),
        pytest.param("", None, id="empty"),
        pytest.param("   ", None, id="spaces"),
        pytest.param("\x00\r\n\x1b", None, id="nothing but control characters"),
        pytest.param("curl/8.5.0", "curl/8.5.0", id="plain"),
        pytest.param(" curl/8.5.0 ", "curl/8.5.0", id="space around it"),
        pytest.param("a\x00b\x07c\x7fd", "abcd", id="control characters"),
        pytest.param("a\r\nX-Header: b", "a X-Header: b", id="header injection"),
        pytest.param("a\t \x0b\x85\u3000b", "a b", id="white space"),
        pytest.param("a\udcffb\ud800c", "abc", id="surrogates"),
        pytest.param("a\u202eb\ufeffc\u200bd", "abcd", id="invisible characters"),
        pytest.param("Caf\xe9", "Café", id="latin-1"),
        pytest.param("Café 漢".encode().decode("latin-1"), "Café 漢", id="utf-8 read as latin-1"),
        pytest.param("漢字 é", "漢字 é", id="beyond latin-1"),
        pytest.param("漢" * 600, "漢" * MAX_USER_AGENT_LENGTH, id="long"),
        pytest.param("x" * 10_000, "x" * MAX_USER_AGENT_LENGTH, id="ten kilobytes"),
        pytest.param("x" * 511 + " y", "x" * 511, id="space at the cut"),
        pytest.param("\x00" * 100_000 + "x", None, id="a hundred kilobytes of nothing"),
    ],
)
def test_clean(raw: str | None, cleaned: str | None) -> None:
    assert clean_user_agent(raw) == cleaned


@given(any_text)
def test_clean_text_can_be_stored_and_sent(raw: str) -> None:
    cleaned = clean_user_agent(raw)
    if cleaned is not None:
        assert cleaned.isprintable()
        assert cleaned == cleaned.strip()
        assert 0 < len(cleaned) <= MAX_USER_AGENT_LENGTH
        assert cleaned.encode().decode() == cleaned


def run_python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


PATTERNS = "any(name.startswith('ua_parser_builtins') for name in sys.modules)"


def test_import_loads_no_pattern() -> None:
    run_python(f"import sys, django_moloco_rmp.devices; assert not {PATTERNS}")


def test_warm_up_loads_the_patterns() -> None:
    run_python(f"import sys, django_moloco_rmp.devices as it; it.warm_up(); assert {PATTERNS}")


def test_patterns_are_compiled_once() -> None:
    warm_up()
    start = time.process_time()
    for number in range(50):
        parse_user_agent(f"{IPHONE} Number/{number}")
    # Milliseconds; compiling them each time would take several seconds.
    assert time.process_time() - start < 1


def test_warm_up_may_be_repeated() -> None:
    warm_up()
    warm_up()
