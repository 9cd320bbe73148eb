"""DESTINATIONS: what each entry has for itself, what it shares, and what is said of faults."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_moloco_rmp.conf import (
    Destination,
    Problem,
    Settings,
    from_env,
    get_settings,
    named_destinations,
    problems,
)

DE = {"PLATFORM_ID": "SHOP_DE", "API_KEY": "key-de"}
FR = {"PLATFORM_ID": "SHOP_FR", "API_KEY": "key-fr"}


def parsed(raw: object) -> Settings:
    with override_settings(MOLOCO_RMP=raw):
        return get_settings()


def faults(raw: object) -> list[Problem]:
    with override_settings(MOLOCO_RMP=raw):
        return problems()


def names(raw: object) -> list[str]:
    with override_settings(MOLOCO_RMP=raw):
        return named_destinations()


def test_without_entries_there_is_the_one_of_the_settings_themselves() -> None:
    settings = parsed({**DE, "MAX_QPS": 5, "BASE_URL": "https://host"})
    (destination,) = settings.destinations.values()
    assert destination.name == "default"
    for field in {each.name for each in fields(Destination)} - {"name", "sites", "path"}:
        assert getattr(destination, field) == getattr(settings, field)


def test_an_entry_shares_what_it_does_not_say() -> None:
    shared = {
        "DOMAIN_SUFFIX": "mcm-api.moloco.com",
        "DEFAULT_CURRENCY": "EUR",
        "DOMAIN": "shop.example",
        "TIMEOUT": (1, 2),
        "CONCURRENCY": 3,
        "BATCH_SIZE": 7,
        "MAX_QPS": 9,
        "LEASE": 60,
    }
    own = {"DEFAULT_CURRENCY": "CHF", "DOMAIN": None, "MAX_QPS": None, "SITES": ["Shop.Example"]}
    settings = parsed({**shared, "DESTINATIONS": {"de": DE, "ch": {**FR, **own}}})
    assert settings.destinations == {
        "de": Destination(
            name="de",
            platform_id="SHOP_DE",
            api_key="key-de",
            domain_suffix="mcm-api.moloco.com",
            default_currency="EUR",
            domain="shop.example",
            timeout=(1.0, 2.0),
            concurrency=3,
            batch_size=7,
            max_qps=9,
            lease=60,
        ),
        "ch": replace(
            settings.destinations["de"],
            name="ch",
            platform_id="SHOP_FR",
            api_key="key-fr",
            default_currency="CHF",
            domain=None,
            max_qps=None,
            sites=("shop.example",),
        ),
    }


def test_credentials_and_address_are_not_shared() -> None:
    raw = {**DE, "PLATFORM_NAME": "my", "BASE_URL": "https://host", "DESTINATIONS": {"fr": FR}}
    settings = parsed(raw)
    assert list(settings.destinations) == ["default", "fr"]
    assert settings.destinations["default"].platform_name == "my"
    assert settings.destinations["fr"] == Destination(
        name="fr", platform_id="SHOP_FR", api_key="key-fr"
    )


def test_no_key_is_shown() -> None:
    assert "key-" not in repr(parsed({**DE, "DESTINATIONS": {"fr": FR}}))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (
            {"DESTINATIONS": {"de": {"PLATFORM_ID": "SHOP_DE"}}},
            "MOLOCO_RMP['DESTINATIONS']['de']['API_KEY'] is required.",
        ),
        (
            {"DESTINATIONS": {"de": DE}, "API_KEY": "k"},
            "MOLOCO_RMP['PLATFORM_ID'] is required.",
        ),
        (
            {"DESTINATIONS": {"de": {**DE, "MAX_QSP": 5}}},
            "MOLOCO_RMP['DESTINATIONS']['de']['MAX_QSP'] is no setting of a destination.",
        ),
        (
            {"DESTINATIONS": {"de": {**DE, "ENABLED": False}}},
            "MOLOCO_RMP['DESTINATIONS']['de']['ENABLED'] is no setting of a destination.",
        ),
        (
            {"DESTINATIONS": {"de": {**DE, "MAX_QPS": "5"}}},
            "MOLOCO_RMP['DESTINATIONS']['de']['MAX_QPS'] must be an int from 1 to 10000.",
        ),
        (
            {"DESTINATIONS": {"de": {**DE, "LEASE": 20}}},
            "MOLOCO_RMP['DESTINATIONS']['de']['LEASE'] must be at least four times the sum of "
            "TIMEOUT, here 52.2 seconds.",
        ),
        (
            {**DE, "DESTINATIONS": {"default": FR}},
            "MOLOCO_RMP['DESTINATIONS']['default'] is there twice, as MOLOCO_RMP has PLATFORM_ID "
            "and API_KEY of its own, too.",
        ),
        (
            {**DE, "BASE_URL": "https://host", "DESTINATIONS": {"Default": FR}},
            "MOLOCO_RMP['DESTINATIONS']['Default'] is there twice, as MOLOCO_RMP has PLATFORM_ID "
            "and API_KEY and BASE_URL of its own, too.",
        ),
        (
            {"DESTINATIONS": {"de": DE, "fr": FR}, "DESTINATION": "it"},
            "MOLOCO_RMP['DESTINATION'] names no destination.",
        ),
        (
            {
                "DESTINATIONS": {
                    "de": {**DE, "SITES": ["a.example", "a.example"]},
                    "fr": {**FR, "SITES": ["A.example"]},
                }
            },
            "MOLOCO_RMP['DESTINATIONS']['fr']['SITES'] has 'a.example', as 'de' has.",
        ),
        ({**DE, "SITES": ["a.example"]}, "MOLOCO_RMP['SITES'] is no setting of this app."),
    ],
)
def test_a_fault_is_told_with_its_path_and_a_fix(raw: dict[str, Any], told: str) -> None:
    (fault,) = faults(raw)
    assert str(fault) == told
    assert fault.fix.endswith((".", "?"))
    with pytest.raises(ImproperlyConfigured) as raised:
        parsed(raw)
    assert str(raised.value) == f"{told} {fault.fix}"


@pytest.mark.parametrize(
    "sites",
    [
        *("shop.example", None, 5, [5], [""], ["shop.example:8000"], ["*"], ["a b"], ["a..b"]),
        *(["http://shop.example"], ["shop.example."], [None]),
    ],
)
def test_sites_are_host_names(sites: Any) -> None:
    (fault,) = faults({"DESTINATIONS": {"de": {**DE, "SITES": sites}}})
    assert fault.rule == "must be a list of host names without ports"


def test_the_typing_of_a_key_is_hinted_at() -> None:
    (fault,) = faults({"DESTINATIONS": {"de": {**DE, "MAX_QSP": 5}}})
    assert fault.fix == "Did you mean 'MAX_QPS'?"
    (fault,) = faults({**DE, "SITES": []})
    assert "It is one of DESTINATIONS." in fault.fix


def test_what_is_blank_makes_no_destination() -> None:
    raw = {"PLATFORM_ID": "", "API_KEY": None, "BASE_URL": None, "DESTINATIONS": {"de": DE}}
    assert list(parsed(raw).destinations) == ["de"]
    found = faults({"BASE_URL": "https://host", "DESTINATIONS": {"de": DE}})
    assert [fault.key for fault in found] == ["PLATFORM_ID", "API_KEY"]
    for fault in found:
        assert fault.fix.endswith("Or take BASE_URL out, which makes a destination of its own.")


def test_where_nothing_is_sent_nothing_is_required() -> None:
    assert faults({"ENABLED": False, "DESTINATIONS": {"de": {}, "fr": {}}}) == []


def test_an_entry_comes_from_variables_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MOLOCO_RMP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MOLOCO_RMP_DE_PLATFORM_ID", "SHOP_DE")
    monkeypatch.setenv("MOLOCO_RMP_DE_API_KEY", "key-de")
    monkeypatch.setenv("MOLOCO_RMP_DE_SITES", "shop.de, .shop.de")
    monkeypatch.setenv("MOLOCO_RMP_MAX_QPS", "30")
    assert from_env() == {"MAX_QPS": 30}
    entry = from_env("MOLOCO_RMP_DE_")
    assert entry == {**DE, "SITES": ["shop.de", ".shop.de"]}
    assert parsed({**from_env(), "DESTINATIONS": {"de": entry}}).destinations == {
        "de": Destination(
            name="de",
            platform_id="SHOP_DE",
            api_key="key-de",
            max_qps=30,
            sites=("shop.de", ".shop.de"),
        )
    }


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, ["default"]),
        (DE, ["default"]),
        ({"DESTINATIONS": {}}, ["default"]),
        ({"DESTINATIONS": {"de": DE, "fr": FR}}, ["de", "fr"]),
        ({"DESTINATIONS": {"de": 5}, "X": 1}, ["de"]),
        ({"DESTINATIONS": {"de": DE}, "API_KEY": 5}, ["default", "de"]),
        ({"DESTINATIONS": {"de": DE}, "API_KEY": "", "BASE_URL": None}, ["de"]),
        ({"DESTINATIONS": {"default": DE}}, ["default"]),
        ({"DESTINATIONS": {"default": DE}, "API_KEY": "k"}, ["default"]),
        ({"DESTINATIONS": ["de"]}, ["default"]),
    ],
)
def test_names_are_known_even_of_broken_settings(raw: object, expected: list[str]) -> None:
    assert names(raw) == expected
