"""MOLOCO_RMP from what a project writes to what the package reads, and what it says of faults."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from enum import Enum
from ipaddress import ip_network
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from django_moloco_rmp.choices import ChannelType
from django_moloco_rmp.conf import (
    Destination,
    Settings,
    from_env,
    get_settings,
    problems,
    raises_errors,
)
from django_moloco_rmp.parsers import KEYS

REQUIRED = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}
YEAR = 365 * 24 * 3600


class Channel(str, Enum):  # noqa: UP042
    """A shop's own choice, whose text is not its value."""

    DESKTOP = "DESKTOP_SITE"


def user_id(request: HttpRequest) -> None:
    """What USER_ID and CONSENT may name."""


HERE = f"{__name__}.user_id"
OURS = Destination(platform_id="SHOP_TEST", api_key="test-key")

#: Of each key: values that are right, with what the package reads.
VALID: dict[str, list[tuple[Any, Any]]] = {
    "PLATFORM_ID": [("SHOP", "SHOP"), (" SHOP ", "SHOP"), ("Größe 1", "Größe 1")],
    "API_KEY": [("k", "k"), (" $k/+=~! ", "$k/+=~!")],
    "PLATFORM_NAME": [(None, None), ("My Shop", "My Shop")],
    "DOMAIN_SUFFIX": [("mcm-api.moloco.com", "mcm-api.moloco.com")],
    "BASE_URL": [(None, None), ("http://[::1]:8010", "http://[::1]:8010")],
    "DESTINATIONS": [
        ({}, {"default": OURS}),
        (
            {"de_1": {"PLATFORM_ID": "SHOP_DE", "API_KEY": "k"}},
            {"default": OURS, "de_1": Destination(name="de_1", platform_id="SHOP_DE", api_key="k")},
        ),
    ],
    "DESTINATION": [(None, None), ("default", "default"), (user_id, user_id), (HERE, user_id)],
    "ENABLED": [(True, True), (False, False)],
    "RAISE_ERRORS": [(True, True), (False, False)],
    "CHANNEL_TYPE": [
        ("auto", "auto"),
        ("SITE", "SITE"),
        (ChannelType.MOBILE_SITE, "MOBILE_SITE"),
        (Channel.DESKTOP, "DESKTOP_SITE"),
    ],
    "DEFAULT_CURRENCY": [(None, None), ("EUR", "EUR")],
    "DOMAIN": [(None, None), ("shop.example", "shop.example")],
    "PAGES": [({}, {}), ({"shop:list": "LIST:{slug}"}, {"shop:list": "LIST:{slug}"})],
    "HASH_KEY": [(None, None), ("long " * 10, ("long " * 10).strip())],
    "USER_ID": [(None, None), (user_id, user_id), (HERE, user_id)],
    "PERSISTENT_ID_COOKIE": [(None, None), ("__Host-pid.1", "__Host-pid.1")],
    "PERSISTENT_ID_COOKIE_AGE": [(1, 1), (YEAR, YEAR)],
    "SEND_IP": [(True, True), (False, False), ("truncated", "truncated")],
    "TRUSTED_PROXIES": [
        ((), ()),
        (["10.0.0.0/8"], (ip_network("10.0.0.0/8"),)),
        (("::1", ip_network("fd00::/8")), (ip_network("::1"), ip_network("fd00::/8"))),
        (0, 0),
        (64, 64),
    ],
    "CONSENT": [(None, None), (user_id, user_id), (HERE, user_id)],
    "IGNORE_BOTS": [(True, True), (False, False)],
    "RELAY": [(each, each) for each in ("thread", "command", "celery", "tasks", "off")],
    "TIMEOUT": [((1, 2), (1.0, 2.0)), ([0.05, 29.9], (0.05, 29.9))],
    "CONCURRENCY": [(1, 1), (64, 64)],
    "BATCH_SIZE": [(1, 1), (1000, 1000)],
    "LEASE": [(53, 53), (3600, 3600)],
    "MAX_QPS": [(None, None), (1, 1), (10_000, 10_000)],
    "BUFFERED": [((), ()), (["HOME", "PURCHASE"], ("HOME", "PURCHASE"))],
    "REJECTED_DAYS": [(1, 1), (3650, 3650)],
    "DEDUPE_DAYS": [(1, 1), (3650, 3650)],
    "HEALTH_MAX_AGE": [(None, None), (0, 0), (2592000, 2592000)],
    "HEALTH_MAX_OPEN": [(None, None), (0, 0), (2592000, 2592000)],
    "HEALTH_MAX_SILENCE": [(None, None), (60, 60), (2592000, 2592000)],
}

TEXT = "must be a text of printable characters"
FLAG = "must be True or False"
ADDRESS = "must start with https://"
PAGES = "must map URL names to page id templates"
ENTRIES = "must map names to dicts"
COOKIE = "is no name for a cookie"
IP = "must be True, False or 'truncated'"
PROXIES = "must be a list of networks, or how many proxies each request passes"
NO_NETWORK = "holds something that is no network"
SECONDS = "must be two numbers of seconds, to connect and to read, up to 60"
NO_TEXTS: list[Any] = [" ", "a\nb", "a\x00", "a\ud800", b"a", 5, ["a"]]
NO_NUMBERS: list[Any] = [None, 0, -1, 10**9, 1.5, "9", True, [9]]


def failing(path: str) -> list[tuple[Any, str]]:
    return [
        (f"{path}.nobody", "cannot be imported (ImportError: Module"),
        ("nowhere.to.be.found", "cannot be imported (ModuleNotFoundError: No module"),
        ("nodots", "cannot be imported (ImportError: nodots doesn't look like"),
        (".relative.path", "cannot be imported (TypeError: "),
        ("", "cannot be imported (ImportError: "),
        (f"{path}.YEAR", "must be callable"),
        (5, "must be callable"),
    ]


def numbers(least: int, most: int, *more: Any) -> list[tuple[Any, str]]:
    return [(value, f"must be an int from {least} to {most}") for value in [*NO_NUMBERS, *more]]


def limits(least: int) -> list[tuple[Any, str]]:
    """Of a number of seconds, where None stands for no limit."""
    wrong = numbers(least, 2592000, least - 1, 2592001)
    return [each for each in wrong if each[0] is not None and each[0] != least]


def texts(*more: Any) -> list[tuple[Any, str]]:
    return [(value, TEXT) for value in [*NO_TEXTS, *more]]


#: Of each key: values that are wrong, with the rule they break.
INVALID: dict[str, list[tuple[Any, str]]] = {
    "PLATFORM_ID": texts(),
    "API_KEY": [
        *texts(),
        ("two words", "must be printable ASCII without spaces"),
        ("clé", "must be printable ASCII without spaces"),
    ],
    "PLATFORM_NAME": texts(""),
    "DOMAIN_SUFFIX": texts("", None),
    "DESTINATIONS": [
        *[(value, ENTRIES) for value in (None, "de", ["de"], {"de": None}, {"de": "SHOP"})],
        *[({name: {}}, "is no name") for name in ("", "-de", "d.e", "dé", "d e", 5, None)],
        ({"d" * 33: {}}, "is longer than 32 characters"),
        ({"de": {}, "DE": {}}, "has names that differ in case only"),
    ],
    "DESTINATION": [
        *[(value, "is no name") for value in ("", "-de", "d e")],
        ("d" * 33, "is longer than 32 characters"),
        ("fr", "names no destination"),
        *[each for each in failing(__name__) if each[0] not in {"nodots", ""}],
    ],
    "BASE_URL": [*texts(""), ("host", ADDRESS), ("ftp://host", ADDRESS), ("//host", ADDRESS)],
    "ENABLED": [(value, FLAG) for value in ("False", 0, 1, None)],
    "RAISE_ERRORS": [(value, FLAG) for value in ("False", 0, 1, None)],
    "CHANNEL_TYPE": [
        (value, "is not one of auto, APP, SITE, DESKTOP_SITE, MOBILE_SITE")
        for value in ("site", "", None, 1, ["SITE"])
    ],
    "DEFAULT_CURRENCY": [
        (value, "is not one of AED, AUD, ") for value in ("eur", "XXX", "", 1, ["EUR"])
    ],
    "DOMAIN": texts(""),
    "PAGES": [
        (value, PAGES)
        for value in (None, "shop:list", ["shop:list"], {"": "A"}, {"a": ""}, {"a": None}, {1: "A"})
    ],
    "HASH_KEY": texts(""),
    "USER_ID": failing(__name__),
    "PERSISTENT_ID_COOKIE": [
        *texts(""),
        *[(name, COOKIE) for name in ("a b", "a=b", "a;b", "a,b", "é", '"a"')],
    ],
    "PERSISTENT_ID_COOKIE_AGE": numbers(1, 34560000, 34560001),
    "SEND_IP": [(value, IP) for value in (None, 0, 1, "True", "cut")],
    "TRUSTED_PROXIES": [
        *[(value, PROXIES) for value in (None, "10.0.0.0/8", b"ab", {}, 1.5)],
        *[(value, "must be an int from 0 to 64") for value in (-1, 65, True)],
        *[([value], NO_NETWORK) for value in ("10.0.0.1/8", "10.0.0.0/33", "x", "", 1, None, [])],
    ],
    "CONSENT": failing(__name__),
    "IGNORE_BOTS": [(value, FLAG) for value in ("False", 0, 1, None)],
    "RELAY": [
        (value, "is not one of thread, command, celery, tasks, off")
        for value in ("Thread", "", None, True)
    ],
    "TIMEOUT": [
        (value, SECONDS)
        for value in (
            *(None, 5, "12", b"12", (1,), (1, 2, 3), {1, 2}),
            *((0, 1), (1, -1), (1, 60.1), (1, "2"), (1, None), (True, 1)),
            *((1, float("nan")), (1, float("inf"))),
        )
    ],
    "CONCURRENCY": numbers(1, 64, 65),
    "BATCH_SIZE": numbers(1, 1000, 1001),
    "LEASE": numbers(10, 3600, 9, 3601),
    "MAX_QPS": [each for each in numbers(1, 10_000, 0, 10_001) if each[0] is not None],
    "BUFFERED": [
        (bad, "must be a list of event types, of HOME, LAND, PAGE_VIEW, ")
        for bad in ("HOME", ("VIEW",), {"HOME"}, [["HOME"]], None)
    ],
    "REJECTED_DAYS": numbers(1, 3650, 3651),
    "DEDUPE_DAYS": numbers(1, 3650, 3651),
    "HEALTH_MAX_AGE": limits(0),
    "HEALTH_MAX_OPEN": limits(0),
    "HEALTH_MAX_SILENCE": limits(60),
}

#: Of each key: texts of its variable, with what the package reads in the end.
VARIABLES: dict[str, list[tuple[str, Any]]] = {
    "PLATFORM_ID": [("SHOP", "SHOP"), (" SHOP\n", "SHOP")],
    "API_KEY": [
        ("k", "k"),
        ("$k", "$k"),
        ("$$", "$$"),
        ("$MOLOCO_RMP_API_KEY", "$MOLOCO_RMP_API_KEY"),
        (r"\$k", r"\$k"),
        ("k\n", "k"),
    ],
    "PLATFORM_NAME": [("My Shop", "My Shop")],
    "DOMAIN_SUFFIX": [("mcm-api.moloco.com", "mcm-api.moloco.com")],
    "BASE_URL": [("https://host", "https://host")],
    "DESTINATIONS": [
        (
            '{"fr": {"PLATFORM_ID": "SHOP_FR", "API_KEY": "k"}}',
            {"default": OURS, "fr": Destination(name="fr", platform_id="SHOP_FR", api_key="k")},
        )
    ],
    "DESTINATION": [("default", "default"), (HERE, user_id)],
    "ENABLED": [("True", True), ("1", True), ("on", True), ("YES", True), ("0", False)],
    "RAISE_ERRORS": [("true", True), ("false", False), ("OFF", False), ("no", False)],
    "CHANNEL_TYPE": [("auto", "auto")],
    "DEFAULT_CURRENCY": [("EUR", "EUR")],
    "DOMAIN": [("shop.example", "shop.example")],
    "PAGES": [('{"shop:list": "LIST:{slug}"}', {"shop:list": "LIST:{slug}"})],
    "HASH_KEY": [("$HOME", "$HOME")],
    "USER_ID": [(HERE, user_id)],
    "PERSISTENT_ID_COOKIE": [("pid", "pid")],
    "PERSISTENT_ID_COOKIE_AGE": [("3600", 3600)],
    "SEND_IP": [("truncated", "truncated"), ("on", True), ("off", False)],
    "TRUSTED_PROXIES": [
        ("10.0.0.0/8, ::1,", (ip_network("10.0.0.0/8"), ip_network("::1"))),
        ("2", 2),
    ],
    "CONSENT": [(HERE, user_id)],
    "IGNORE_BOTS": [("no", False)],
    "RELAY": [("off", "off")],
    "TIMEOUT": [("1.5, 10", (1.5, 10.0))],
    "CONCURRENCY": [("4", 4)],
    "BATCH_SIZE": [("10", 10)],
    "LEASE": [(" 60 ", 60)],
    "MAX_QPS": [("30", 30)],
    "BUFFERED": [("HOME, SEARCH", ("HOME", "SEARCH")), (",", ())],
    "REJECTED_DAYS": [("7", 7)],
    "DEDUPE_DAYS": [("7", 7)],
    "HEALTH_MAX_AGE": [("300", 300)],
    "HEALTH_MAX_OPEN": [("0", 0)],
    "HEALTH_MAX_SILENCE": [("120", 120)],
}

#: Variables that cannot be read as their type, with the rule they break.
UNREADABLE: list[tuple[str, str, str]] = [
    *[
        (key, text, "must be true or false. Pass one of true, 1, on, yes, false, 0, off, no.")
        for key in ("ENABLED", "RAISE_ERRORS", "IGNORE_BOTS", "SEND_IP")
        for text in ("maybe", "2", "Truncated")
    ],
    *[
        (key, text, "must be a whole number. Pass digits only.")
        for key in (
            *("PERSISTENT_ID_COOKIE_AGE", "CONCURRENCY", "BATCH_SIZE"),
            *("LEASE", "REJECTED_DAYS", "DEDUPE_DAYS"),
            *("HEALTH_MAX_AGE", "HEALTH_MAX_OPEN", "HEALTH_MAX_SILENCE"),
        )
        for text in ("ten", "1.5", "9" * 5000)
    ],
    ("TRUSTED_PROXIES", "9" * 5000, "must be a whole number. Pass digits only."),
    ("TIMEOUT", "3;10", "must be two numbers with a comma between. Pass 3.05,10."),
    ("PAGES", "A", "must be JSON (Expecting value: line 1 column 1 (char 0)). Pass {"),
    ("PAGES", "{'a': 'A'}", "must be JSON (Expecting property name"),
    ("DESTINATIONS", "de", "must be JSON (Expecting value: line 1 column 1 (char 0)). Pass {"),
]


def rows(table: dict[str, list[tuple[Any, Any]]]) -> list[Any]:
    return [
        # No addresses: each process of a test run has its own, and they compare the names.
        pytest.param(key, given, found, id=f"{key}={getattr(given, '__name__', repr(given)):.40}")
        for key, pairs in table.items()
        for given, found in pairs
    ]


def parsed(raw: object) -> Settings:
    with override_settings(MOLOCO_RMP=raw):
        return get_settings()


def changed(settings: Settings, key: str, value: Any) -> Settings:
    """Settings that differ in the value of a key, and so does the one destination that has it."""
    name = key.lower()
    destinations = {
        each: replace(destination, **{name: value}) if hasattr(destination, name) else destination
        for each, destination in settings.destinations.items()
    }
    return replace(settings, **{"destinations": destinations, name: value})


def refusal(raw: object) -> str:
    """Return what get_settings() says of a MOLOCO_RMP that is at fault."""
    with override_settings(MOLOCO_RMP=raw), pytest.raises(ImproperlyConfigured) as caught:
        get_settings()
    return str(caught.value)


@pytest.mark.parametrize("table", [VALID, INVALID, VARIABLES, KEYS])
def test_the_tables_have_a_row_for_each_setting(table: dict[str, Any]) -> None:
    assert set(table) == {field.name.upper() for field in fields(Settings)}


@pytest.mark.parametrize(("key", "value", "expected"), rows(VALID))
def test_a_valid_value_is_read(key: str, value: Any, expected: Any) -> None:
    settings = parsed({**REQUIRED, key: value})
    assert settings == changed(parsed(REQUIRED), key, expected)
    assert type(getattr(settings, key.lower())) is not Channel


@pytest.mark.parametrize(("key", "value", "rule"), rows(INVALID))
def test_an_invalid_value_is_refused_with_key_rule_and_fix(key: str, value: Any, rule: str) -> None:
    message = refusal({**REQUIRED, key: value})
    assert message.startswith(f"MOLOCO_RMP['{key}'] {rule}")
    assert re.search(r"\. (Pass|Use|Write|Correct) .+\.$", message)


@pytest.mark.parametrize("raw", [None, "SHOP_TEST", ["PLATFORM_ID"], 5])
def test_what_is_no_dict_is_refused(raw: object) -> None:
    expected = (
        "MOLOCO_RMP is not set to a dict. Set MOLOCO_RMP = {'PLATFORM_ID': ..., 'API_KEY': ...}."
    )
    assert refusal(raw) == expected


def test_a_project_without_the_setting_is_told_so(settings: Any) -> None:
    # Setting it tells that it changed, which deleting it does not.
    settings.MOLOCO_RMP = {}
    del settings.MOLOCO_RMP
    with pytest.raises(ImproperlyConfigured, match="MOLOCO_RMP is not set to a dict"):
        get_settings()
    assert raises_errors() is False


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("PLATFROM_ID", "PLATFORM_ID"),
        ("hash_key", "HASH_KEY"),
        ("defaultCurrency", "DEFAULT_CURRENCY"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
    ],
)
def test_a_misspelt_key_is_refused_with_a_suggestion(key: str, meant: str) -> None:
    assert refusal({**REQUIRED, key: "x"}) == (
        f"MOLOCO_RMP['{key}'] is no setting of this app. Did you mean '{meant}'?"
    )


@pytest.mark.parametrize("key", ["COLOUR_OF_THE_SKY", "", 5, None])
def test_a_key_unlike_any_other_is_refused_with_a_list_of_all(key: object) -> None:
    message = refusal({**REQUIRED, key: "x"})
    assert message.startswith(f"MOLOCO_RMP[{str(key)!r}] is no setting of this app. Known: ")
    assert message.endswith(", HEALTH_MAX_SILENCE.")


@pytest.mark.parametrize("key", REQUIRED)
@pytest.mark.parametrize("blank", [{}, {"value": None}, {"value": ""}], ids=repr)
def test_a_missing_key_matters_only_while_enabled(key: str, blank: dict[str, Any]) -> None:
    raw = {**REQUIRED, key: blank.get("value")}
    if not blank:
        del raw[key]
    assert refusal(raw) == (
        f"MOLOCO_RMP['{key}'] is required. Moloco's account manager gives it to you;"
        " until then set ENABLED to False."
    )
    settings = parsed({**raw, "ENABLED": False})
    assert (settings.enabled, getattr(settings, key.lower())) == (False, "")


@pytest.mark.parametrize(
    ("raw", "least"),
    [
        ({"LEASE": 52}, "52.2"),
        ({"TIMEOUT": (10, 21)}, "124"),
        ({"TIMEOUT": (1, 14.5), "LEASE": 61}, "62"),
    ],
)
def test_a_lease_lasts_longer_than_the_slowest_answer(raw: dict[str, Any], least: str) -> None:
    assert refusal({**REQUIRED, **raw}) == (
        f"MOLOCO_RMP['LEASE'] must be at least four times the sum of TIMEOUT, here {least} seconds."
        " Raise LEASE or lower TIMEOUT, or events with slow answers are sent twice."
    )


def test_a_lease_of_exactly_four_timeouts_is_enough() -> None:
    assert parsed({**REQUIRED, "TIMEOUT": (5, 10), "LEASE": 60}).lease == 60


def test_all_faults_are_told_at_once() -> None:
    message = refusal({"API_KEY": "a b", "ENABLED": "yes", "RELAYS": "off"})
    assert re.findall(r"MOLOCO_RMP\['(\w+)'\]", message) == [
        *("API_KEY", "ENABLED", "RELAYS", "PLATFORM_ID")
    ]


@pytest.mark.parametrize("key", ["API_KEY", "HASH_KEY"])
@pytest.mark.parametrize(
    "shape",
    [
        lambda secret: f"{secret}\n",
        lambda secret: f"{secret} \u20ac\x00",
        lambda secret: secret.encode(),
        lambda secret: [secret],
        lambda secret: {secret: secret},
        lambda secret: type(secret, (), {}),
    ],
)
def test_errors_do_not_tell_secrets(key: str, shape: Callable[[str], Any]) -> None:
    message = refusal({**REQUIRED, key: shape("s3cr3t")})
    assert f"MOLOCO_RMP['{key}']" in message
    assert "s3cr3t" not in message


def test_a_repr_does_not_tell_secrets() -> None:
    settings = parsed({"PLATFORM_ID": "SHOP", "API_KEY": "s3cr3t-1", "HASH_KEY": "s3cr3t-2"})
    assert (settings.api_key, settings.hash_key) == ("s3cr3t-1", "s3cr3t-2")
    assert "platform_id='SHOP'" in repr(settings)
    assert "s3cr3t" not in repr(settings)


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        get_settings().lease = 5  # type: ignore[misc]


def test_pages_do_not_change_with_the_dict_they_came_from() -> None:
    pages = {"home": "HOME"}
    settings = parsed({**REQUIRED, "PAGES": pages})
    pages["cart"] = "CART"
    assert settings.pages == {"home": "HOME"}


def test_settings_are_parsed_once_and_anew_when_they_are_overridden() -> None:
    before = get_settings()
    assert get_settings() is before
    with override_settings(MOLOCO_RMP={**REQUIRED, "DOMAIN": "shop.example"}):
        assert get_settings().domain == "shop.example"
        with override_settings(TIME_ZONE="UTC"):
            assert get_settings().domain == "shop.example"
    assert get_settings() == before


def test_a_fault_is_told_each_time_until_it_is_mended() -> None:
    with override_settings(MOLOCO_RMP={}):
        for _ in range(2):
            with pytest.raises(ImproperlyConfigured):
                get_settings()
    assert get_settings().platform_id == "SHOP_TEST"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"RAISE_ERRORS": True}, True),
        ({"RAISE_ERRORS": True, "API_KEY": 5, "X": 1}, True),
        ({"RAISE_ERRORS": "True"}, False),
        ({"RAISE_ERRORS": 1}, False),
        (REQUIRED, False),
        (None, False),
        ([("RAISE_ERRORS", True)], False),
    ],
)
def test_whether_to_raise_is_known_even_of_broken_settings(raw: object, expected: bool) -> None:
    with override_settings(MOLOCO_RMP=raw):
        assert raises_errors() is expected


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Set a variable, with none of the package's set before."""
    for name in [name for name in os.environ if name.startswith("MOLOCO_RMP_")]:
        monkeypatch.delenv(name)
    return monkeypatch.setenv


@pytest.mark.parametrize(("key", "text", "expected"), rows(VARIABLES))
def test_a_setting_comes_from_its_variable(
    variable: Callable[[str, str], None], key: str, text: str, expected: Any
) -> None:
    variable(f"MOLOCO_RMP_{key}", text)
    found = from_env()
    assert list(found) == [key]
    assert parsed({**REQUIRED, **found}) == changed(parsed(REQUIRED), key, expected)


def test_all_settings_come_from_variables(variable: Callable[[str, str], None]) -> None:
    for key, pairs in VARIABLES.items():
        variable(f"MOLOCO_RMP_{key}", pairs[0][0])
    expected = {key.lower(): pairs[0][1] for key, pairs in VARIABLES.items()}
    destination = parsed(from_env()).destinations["default"]
    for name in {field.name for field in fields(Destination)} & {*expected}:
        assert getattr(destination, name) == expected[name]
    expected["destinations"] = {**expected["destinations"], "default": destination}
    expected["destinations"]["fr"] = parsed(from_env()).destinations["fr"]
    assert parsed(from_env()) == Settings(**expected)


def test_the_prefix_of_the_variables_can_be_chosen(variable: Callable[[str, str], None]) -> None:
    variable("MOLOCO_RMP_DOMAIN", "one.example")
    variable("OTHER_DOMAIN", "two.example")
    assert from_env("OTHER_") == {"DOMAIN": "two.example"}


@pytest.mark.usefixtures("variable")
def test_without_variables_nothing_is_set() -> None:
    assert from_env() == {}


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_a_blank_variable_is_none(variable: Callable[[str, str], None], text: str) -> None:
    for key in KEYS:
        variable(f"MOLOCO_RMP_{key}", text)
    assert from_env() == {}


def test_a_blank_variable_is_no_key(variable: Callable[[str, str], None]) -> None:
    variable("MOLOCO_RMP_PLATFORM_ID", "")
    variable("MOLOCO_RMP_API_KEY", " ")
    assert "MOLOCO_RMP['API_KEY'] is required." in refusal(from_env())
    variable("MOLOCO_RMP_ENABLED", "off")
    assert parsed(from_env()).enabled is False


@pytest.mark.parametrize(
    ("key", "text", "rule"),
    [pytest.param(*row, id=f"{row[0]}={row[1]:.20}") for row in UNREADABLE],
)
def test_an_unreadable_variable_is_refused_by_its_name(
    variable: Callable[[str, str], None], key: str, text: str, rule: str
) -> None:
    variable(f"MOLOCO_RMP_{key}", text)
    with pytest.raises(ImproperlyConfigured) as caught:
        from_env()
    assert str(caught.value).startswith(f"MOLOCO_RMP_{key} {rule}")


right = {key: st.sampled_from([value for value, _ in pairs]) for key, pairs in VALID.items()}
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text()
    | st.binary()
    | st.just(user_id)
    | st.one_of(*right.values()),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)
right_dicts = st.fixed_dictionaries(
    {key: right[key] for key in REQUIRED},
    optional={key: each for key, each in right.items() if key not in REQUIRED},
)
half_right_dicts = st.builds(
    dict.__or__, right_dicts, st.dictionaries(st.sampled_from([*KEYS, "KEY"]), anything, max_size=3)
)


@given(right_dicts | half_right_dicts | anything)
@example({"USER_ID": "a\x00.b"})
@example({"USER_ID": "\ud800.b"})
def test_settings_are_returned_if_and_only_if_nothing_is_wrong_with_them(raw: Any) -> None:
    with override_settings(MOLOCO_RMP=raw):
        found = problems()
        message = ""
        try:
            get_settings()
        except ImproperlyConfigured as error:
            message = str(error)
    assert bool(message) == bool(found)
    assert all(str(problem) in message for problem in found)
