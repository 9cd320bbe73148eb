from __future__ import annotations

from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address

import pytest
from django.utils.safestring import SafeString
from hypothesis import example, given
from hypothesis import strategies as st

from django_moloco_rmp.events import Device
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.text import clean, is_ipv4, optional_text, shorten_page_id
from tests.strategies import any_text

LONG_PATH = "/c/" + "x" * 200


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("plain é 漢字 😀", "plain é 漢字 😀"),
        ("nul\x00", "nul"),
        ("bell\x07", "bell"),
        ("delete\x7f", "delete"),
        ("a\x85b", "a b"),
        ("tab\tline\r\n", "tab line  "),
        ("high \ud83d", "high \ufffd"),
        ("byte \udcff", "byte \ufffd"),
    ],
)
def test_clean(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


@given(any_text)
def test_clean_text_can_be_stored_anywhere(raw: str) -> None:
    text = clean(raw)
    assert "\x00" not in text
    assert text.encode("utf-8").decode("utf-8") == text


@given(any_text)
def test_cleaning_twice_changes_nothing_more(raw: str) -> None:
    assert clean(clean(raw)) == clean(raw)


def test_clean_returns_a_plain_str() -> None:
    class Safe(str):
        __slots__ = ()

    assert type(clean(Safe("text"))) is str


@pytest.mark.parametrize("blank", [None, "", " ", "\t\n", "\x00", "\u3000"])
def test_blank_is_absent(blank: str | None) -> None:
    assert optional_text("domain", blank) is None


def outcome(make: Callable[[], str | None]) -> object:
    try:
        return make()
    except InvalidEventError as error:
        return error.field, error.rule


@given(any_text)
@example(" ")
@example("\u3000")
@example(SafeString("safe"))
@example("x" * 128)
@example("x" * 129)
def test_texts_of_a_whole_are_cleaned_like_one_alone(raw: str) -> None:
    def alone() -> str | None:
        return optional_text("device.unique_device_id", raw, limit=128)

    def of_a_whole() -> str | None:
        return Device(unique_device_id=raw).unique_device_id

    assert outcome(of_a_whole) == outcome(alone)
    assert type(outcome(of_a_whole)) is type(outcome(alone))
    assert Device(model=raw).model == optional_text("device.model", raw)


def _reads_as_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


@given(
    st.ip_addresses(v=4).map(str)
    | st.from_regex(r"[0-9]{0,4}(\.[0-9]{0,4}){2,4}\n?", fullmatch=True)
    | st.text()
)
@example("01.2.3.4")
@example("1.2.3.256")
@example("1.2.3.4\n")
@example("\u0661.2.3.4")
def test_an_address_is_what_the_standard_library_takes_for_one(text: str) -> None:
    assert is_ipv4(text) == _reads_as_ipv4(text)


@pytest.mark.parametrize("value", [1, True, b"bytes", 1.5, ["a"]])
def test_only_str_is_text(value: object) -> None:
    with pytest.raises(InvalidEventError, match="str") as caught:
        optional_text("domain", value)
    assert caught.value.field == "domain"
    assert type(value).__name__ in caught.value.rule
    assert "str(value)" in caught.value.fix


def test_text_at_its_limit() -> None:
    assert optional_text("user_id", "x" * 128, limit=128) == "x" * 128


def test_text_over_its_limit() -> None:
    with pytest.raises(InvalidEventError, match="129 characters") as caught:
        optional_text("user_id", "x" * 129, limit=128)
    assert "hash" in caught.value.fix
    assert "xx" not in str(caught.value)


@pytest.mark.parametrize("value", ["HOME", "a?b#c", "x" * 127 + "?", ""])
def test_short_page_id_is_left_alone(value: str) -> None:
    assert shorten_page_id(value) == value


@pytest.mark.parametrize("rest", ["?q=", "#", "?a=1#b", "#b?"])
def test_long_page_id_loses_query_and_fragment_first(rest: str) -> None:
    assert shorten_page_id(f"/search{rest}{'x' * 200}") == "/search"


def test_longer_page_id_is_cut_with_a_hash() -> None:
    short = shorten_page_id(LONG_PATH)
    assert len(short) == 128
    head, mark, digest = short.rpartition("~")
    assert LONG_PATH.startswith(head)
    assert mark == "~"
    assert len(digest) == 16
    assert int(digest, 16) >= 0


def test_hash_of_a_page_id_is_for_ever() -> None:
    # Pinned: the same page must keep its id across releases and processes.
    assert shorten_page_id(LONG_PATH)[-17:] == "~8b68ed24ff8f8565"


def test_query_of_a_cut_page_id_makes_no_difference() -> None:
    assert shorten_page_id(f"{LONG_PATH}?a=1") == shorten_page_id(f"{LONG_PATH}#top")


def test_page_id_of_nothing_but_a_query_is_hashed_and_not_shown() -> None:
    short = shorten_page_id("?email=" + "shopper" * 20)
    assert len(short) == 17
    assert "shopper" not in short
    assert short != shorten_page_id("?email=" + "another" * 20)


@given(any_text.map(lambda text: text * 3))
def test_page_id_always_fits(value: str) -> None:
    assert len(shorten_page_id(value)) <= 128


@given(any_text.map(lambda text: text * 3))
def test_shortening_twice_changes_nothing_more(value: str) -> None:
    assert shorten_page_id(shorten_page_id(value)) == shorten_page_id(value)


@given(st.text("ab", min_size=129, max_size=140), st.text("ab", min_size=129, max_size=140))
def test_different_long_pages_stay_different(one: str, other: str) -> None:
    assert (shorten_page_id(one) == shorten_page_id(other)) == (one == other)


@given(st.text(min_size=129).filter(lambda text: text.strip()))
def test_a_page_id_is_never_shortened_to_nothing(value: str) -> None:
    assert shorten_page_id(value).strip()
