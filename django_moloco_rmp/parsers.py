"""
The values of ``MOLOCO_RMP``: how each key is checked, and how it is read from the environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from django.utils.module_loading import import_string

from django_moloco_rmp.choices import ChannelType, EventType
from django_moloco_rmp.money import CURRENCIES

_MONTH = 30 * 24 * 3600
#: The most that TRUSTED_PROXIES takes as a number of proxies.
MAX_PROXIES = 64
RELAYS = ("thread", "command", "celery", "tasks", "off")
_MOST_NAME = 32


class FaultError(ValueError):
    """A value that breaks its rule."""

    def __init__(self, rule: str, fix: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.fix = fix


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise FaultError("must be a text of printable characters", "Pass a str that is not blank.")
    return value.strip()


def _api_key(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch("[!-~]+", text):
        raise FaultError(
            "must be printable ASCII without spaces", "Pass the key as Moloco gave it to you."
        )
    return text


def _optional(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else parse(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise FaultError("must be True or False", "Pass a bool, not a text.")
    return value


def _count(least: int, most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise FaultError(
                f"must be an int from {least} to {most}", "Pass a whole number within this range."
            )
        return value

    return parse


def _one_of(*values: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in values:
            raise FaultError(f"is not one of {', '.join(values)}", "Pass one of these texts.")
        return str(values[values.index(value)])

    return parse


def _base_url(value: Any) -> str:
    url = _text(value)
    if not url.startswith(("https://", "http://")):
        raise FaultError("must start with https://", "Pass the origin, as in https://host.")
    return url


def _pages(value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(
        isinstance(text, str) and text for pair in value.items() for text in pair
    ):
        raise FaultError(
            "must map URL names to page id templates",
            "Write it as {'shop:category': 'CATEGORY:{slug}'}.",
        )
    return dict(value)


def _callable(value: Any) -> Callable[[Any], Any]:
    if isinstance(value, str):
        try:
            value = import_string(value)
        except Exception as error:
            raise FaultError(
                f"cannot be imported ({type(error).__name__}: {error})",
                "Correct the dotted path, or pass the function itself.",
            ) from None
    if not callable(value):
        raise FaultError("must be callable", "Pass a function of the request, or its dotted path.")
    return value  # type: ignore[no-any-return]


def _destination(value: Any) -> str | Callable[[Any], Any]:
    # A dotted path has a dot, which no name has.
    return _name(value) if isinstance(value, str) and "." not in value else _callable(value)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]*", value):
        raise FaultError("is no name", "Use ASCII letters, digits, '-' and '_'.")
    if len(value) > _MOST_NAME:
        raise FaultError(f"is longer than {_MOST_NAME} characters", "Use a shorter one.")
    return value


def _destinations(value: Any) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping) or not all(
        isinstance(each, Mapping) for each in value.values()
    ):
        raise FaultError(
            "must map names to dicts",
            "Write it as {'de': {'PLATFORM_ID': ..., 'API_KEY': ...}}.",
        )
    names = [_name(name) for name in value]
    if len({name.casefold() for name in names}) < len(names):
        # MySQL compares texts without regard to case.
        raise FaultError("has names that differ in case only", "Use names that differ in more.")
    return dict(value)


def _sites(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(
        isinstance(each, str) and re.fullmatch(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", each)
        for each in value
    ):
        raise FaultError(
            "must be a list of host names without ports",
            "Pass ['shop.example', '.shop.example'], as in ALLOWED_HOSTS.",
        )
    return tuple(each.lower() for each in value)


def _send_ip(value: Any) -> bool | str:
    if value != "truncated" and not isinstance(value, bool):
        raise FaultError("must be True, False or 'truncated'", "Pass one of these.")
    return value  # type: ignore[no-any-return]


def _proxies(value: Any) -> tuple[IPv4Network | IPv6Network, ...] | int:
    if isinstance(value, int):
        return _count(0, MAX_PROXIES)(value)
    if not isinstance(value, list | tuple):
        raise FaultError(
            "must be a list of networks, or how many proxies each request passes",
            "Pass ['10.0.0.0/8'] or 1.",
        )
    try:
        # As texts, because a number would be taken for an address.
        return tuple(ip_network(str(network)) for network in value)
    except ValueError as error:
        raise FaultError(
            f"holds something that is no network ({error})", "Pass ['10.0.0.0/8'] or 1."
        ) from None


def _event_types(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(each in list(EventType) for each in value):
        raise FaultError(
            f"must be a list of event types, of {', '.join(EventType)}",
            "Pass () to write every event in the shop's own transaction.",
        )
    return tuple(str(each) for each in value)


def _timeout(value: Any) -> tuple[float, float]:
    if (
        not isinstance(value, list | tuple)
        or len(value) != 2
        or not all(type(part) in {int, float} and 0 < part <= 60 for part in value)
    ):
        raise FaultError(
            "must be two numbers of seconds, to connect and to read, up to 60",
            "Pass (3.05, 10).",
        )
    return float(value[0]), float(value[1])


def _cookie_name(value: Any) -> str:
    name = _text(value)
    if not all(char.isascii() and (char.isalnum() or char in "-_.") for char in name):
        raise FaultError("is no name for a cookie", "Use letters, digits, '-', '_' and '.'.")
    return name


def _env_text(text: str) -> str:
    return text


def _env_flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise FaultError("must be true or false", f"Pass one of {', '.join(_FLAGS)}.")
    return _FLAGS[text.lower()]


_FLAGS = {"true": True, "1": True, "on": True, "yes": True} | {
    "false": False,
    "0": False,
    "off": False,
    "no": False,
}


def _env_ip(text: str) -> bool | str:
    return text if text == "truncated" else _env_flag(text)


def _env_int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise FaultError("must be a whole number", "Pass digits only.") from None


def _env_proxies(text: str) -> int | list[str]:
    return _env_int(text) if text.isdecimal() else _env_list(text)


def _env_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _env_seconds(text: str) -> list[float]:
    try:
        return [float(part) for part in _env_list(text)]
    except ValueError:
        raise FaultError("must be two numbers with a comma between", "Pass 3.05,10.") from None


def _env_json(example: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise FaultError(f"must be JSON ({error})", f"Pass {example}.") from None

    return read


@dataclass(frozen=True, slots=True)
class Key:
    """How one key is parsed from Python, and read from an environment variable, never blank."""

    parse: Callable[[Any], Any]
    read: Callable[[str], Any] = _env_text


KEYS: dict[str, Key] = {
    "PLATFORM_ID": Key(_text),
    "API_KEY": Key(_api_key),
    "PLATFORM_NAME": Key(_optional(_text)),
    "DOMAIN_SUFFIX": Key(_text),
    "BASE_URL": Key(_optional(_base_url)),
    "DESTINATIONS": Key(
        _destinations, _env_json('{"de": {"PLATFORM_ID": "...", "API_KEY": "..."}}')
    ),
    "DESTINATION": Key(_optional(_destination)),
    "ENABLED": Key(_flag, _env_flag),
    "RAISE_ERRORS": Key(_flag, _env_flag),
    "CHANNEL_TYPE": Key(_one_of("auto", *ChannelType)),
    "DEFAULT_CURRENCY": Key(_optional(_one_of(*sorted(CURRENCIES)))),
    "DOMAIN": Key(_optional(_text)),
    "PAGES": Key(_pages, _env_json('{"shop:category": "CATEGORY:{slug}"}')),
    "HASH_KEY": Key(_optional(_text)),
    "USER_ID": Key(_optional(_callable)),
    "PERSISTENT_ID_COOKIE": Key(_optional(_cookie_name)),
    "PERSISTENT_ID_COOKIE_AGE": Key(_count(1, 400 * 24 * 3600), _env_int),
    "SEND_IP": Key(_send_ip, _env_ip),
    "TRUSTED_PROXIES": Key(_proxies, _env_proxies),
    "CONSENT": Key(_optional(_callable)),
    "IGNORE_BOTS": Key(_flag, _env_flag),
    "BUFFERED": Key(_event_types, _env_list),
    "RELAY": Key(_one_of(*RELAYS)),
    "TIMEOUT": Key(_timeout, _env_seconds),
    "CONCURRENCY": Key(_count(1, 64), _env_int),
    "BATCH_SIZE": Key(_count(1, 1000), _env_int),
    "MAX_QPS": Key(_optional(_count(1, 10_000)), _env_int),
    "LEASE": Key(_count(10, 3600), _env_int),
    "REJECTED_DAYS": Key(_count(1, 3650), _env_int),
    "DEDUPE_DAYS": Key(_count(1, 3650), _env_int),
    "HEALTH_MAX_AGE": Key(_optional(_count(0, _MONTH)), _env_int),
    "HEALTH_MAX_OPEN": Key(_optional(_count(0, _MONTH)), _env_int),
    # An idle relay leaves a sign of life twice a minute.
    "HEALTH_MAX_SILENCE": Key(_optional(_count(60, _MONTH)), _env_int),
}
#: What each destination has for itself, and what it may have otherwise than the others.
OWN = ("PLATFORM_ID", "API_KEY", "PLATFORM_NAME", "BASE_URL")
SHARED = (
    *("DOMAIN_SUFFIX", "DEFAULT_CURRENCY", "DOMAIN"),
    *("TIMEOUT", "CONCURRENCY", "BATCH_SIZE", "MAX_QPS", "LEASE"),
)
#: The keys of an entry of DESTINATIONS.
DESTINATION_KEYS: dict[str, Key] = {
    **{name: KEYS[name] for name in (*OWN, *SHARED)},
    "SITES": Key(_sites, _env_list),
}
