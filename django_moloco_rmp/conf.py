"""
The one setting of the app, ``MOLOCO_RMP``: parsed into a frozen :class:`Settings`, read when it is
needed, and read anew when a test overrides it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal

import environ
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from django_moloco_rmp.choices import PersonalizationMode
from django_moloco_rmp.parsers import DESTINATION_KEYS, KEYS, OWN, SHARED, FaultError, Key

NAME = "MOLOCO_RMP"
#: The destination that the keys of ``MOLOCO_RMP`` itself make.
DEFAULT = "default"
_REQUIRED = ("PLATFORM_ID", "API_KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """
    One of Moloco's platforms that events are sent to, with all that its relay is set up with.

    ``sites`` are the host names whose requests' events go there. Units as for :class:`Settings`.
    """

    name: str = DEFAULT
    platform_id: str = ""
    api_key: str = field(default="", repr=False)
    platform_name: str | None = None
    domain_suffix: str = "rmp-api.moloco.com"
    base_url: str | None = None
    sites: tuple[str, ...] = ()
    default_currency: str | None = None
    domain: str | None = None
    timeout: tuple[float, float] = (3.05, 10.0)
    concurrency: int = 8
    batch_size: int = 50
    max_qps: int | None = None
    lease: int = 120
    #: Where its keys are, for messages.
    path: str = field(default=NAME, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    ``MOLOCO_RMP`` with its defaults; each field is the key of the same name in lower case.

    But ``destinations`` are all there are, by name: without DESTINATIONS the one that the keys
    PLATFORM_ID, API_KEY and so on make.

    Units: ``timeout`` (connect and read), ``lease``, ``persistent_id_cookie_age`` and ``health_*``
    in seconds, ``max_qps`` in calls per second of all processes together, ``rejected_days`` and
    ``dedupe_days`` in days.
    """

    platform_id: str = ""
    api_key: str = field(default="", repr=False)
    platform_name: str | None = None
    domain_suffix: str = "rmp-api.moloco.com"
    base_url: str | None = None
    destinations: Mapping[str, Destination] = field(
        default_factory=lambda: {DEFAULT: Destination()}
    )
    destination: str | Callable[[Any], Any] | None = None
    enabled: bool = True
    raise_errors: bool = False
    channel_type: str = "SITE"
    default_currency: str | None = None
    domain: str | None = None
    pages: Mapping[str, str] = field(default_factory=dict)
    hash_key: str | None = field(default=None, repr=False)
    user_id: Callable[[Any], Any] | None = None
    persistent_id_cookie: str | None = "moloco_pid"
    persistent_id_cookie_age: int = 400 * 24 * 3600
    send_ip: bool | Literal["truncated"] = True
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] | int = ()
    consent: Callable[[Any], PersonalizationMode | None] | None = None
    ignore_bots: bool = True
    buffered: tuple[str, ...] = ("HOME", "LAND", "PAGE_VIEW", "SEARCH", "ITEM_PAGE_VIEW")
    relay: str = "thread"
    timeout: tuple[float, float] = (3.05, 10.0)
    concurrency: int = 8
    batch_size: int = 50
    max_qps: int | None = None
    lease: int = 120
    rejected_days: int = 30
    dedupe_days: int = 30
    health_max_age: int | None = 900
    health_max_open: int | None = 900
    health_max_silence: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One fault of ``MOLOCO_RMP``: the key (None for the whole), what is wrong, and the fix.

    ``destination`` is the entry of DESTINATIONS whose key it is, if it is one's.
    """

    kind: Literal["shape", "unknown", "missing", "invalid"]
    key: str | None
    rule: str
    fix: str
    destination: str | None = None

    def __str__(self) -> str:
        path = () if self.destination is None else ("DESTINATIONS", self.destination)
        keys = (*path, self.key) if self.key is not None else path
        return f"{NAME}{''.join(f'[{key!r}]' for key in keys)} {self.rule}."


def _parse(raw: object) -> tuple[Settings, list[Problem]]:
    if not isinstance(raw, Mapping):
        fix = f"Set {NAME} = {{'PLATFORM_ID': ..., 'API_KEY': ...}}."
        return Settings(), [Problem("shape", None, "is not set to a dict", fix)]
    values, problems = _values(raw, KEYS, None)
    entries: Mapping[str, Mapping[Any, Any]] = values.pop("destinations", {})
    settings = Settings(**values)
    destinations: dict[str, Destination] = {}
    if not entries or _own(raw):
        destinations[DEFAULT] = _destination(DEFAULT, {}, settings, OWN)
        problems += _faults(destinations[DEFAULT], raw, None, settings)
    for name, entry in entries.items():
        # Of the entries themselves no two names differ in case only.
        if name.casefold() in destinations and name.casefold() == DEFAULT:
            has = " and ".join(_own(raw))
            rule = f"is there twice, as {NAME} has {has} of its own, too"
            fix = f"Rename it, or move all of that into {NAME}['DESTINATIONS'][{name!r}]."
            problems.append(Problem("invalid", None, rule, fix, name))
            continue
        own, faults = _values(entry, DESTINATION_KEYS, name)
        destinations[name] = _destination(name, own, settings)
        problems += [*faults, *_faults(destinations[name], entry, name, settings)]
    problems += _ambiguous(destinations)
    if isinstance(settings.destination, str) and settings.destination not in destinations:
        fix = f"Use one of {', '.join(destinations)}."
        problems.append(Problem("invalid", "DESTINATION", "names no destination", fix))
    return replace(settings, destinations=destinations), problems


def _own(raw: Mapping[Any, Any]) -> list[str]:
    """Return the keys that make a destination of ``MOLOCO_RMP`` itself."""
    return [key for key in OWN if raw.get(key) not in (None, "")]


def _values(
    raw: Mapping[Any, Any], keys: Mapping[str, Key], destination: str | None
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the values that are as they should be, by field, and what is wrong with the others."""
    values: dict[str, Any] = {}
    problems = []
    for key, value in raw.items():
        known = keys.get(key)
        if known is None:
            rule = f"is no setting of {'this app' if destination is None else 'a destination'}"
            fix = _known(str(key), keys)
            problems.append(Problem("unknown", str(key), rule, fix, destination))
        elif key not in _REQUIRED or value not in (None, ""):
            try:
                values[key.lower()] = known.parse(value)
            except FaultError as fault:
                problems.append(Problem("invalid", key, fault.rule, fault.fix, destination))
    return values, problems


def _known(key: str, keys: Mapping[str, Key]) -> str:
    close = get_close_matches(key.upper(), keys, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    others = " It is one of DESTINATIONS." if key in DESTINATION_KEYS else ""
    return f"Known: {', '.join(keys)}.{others}"


def _destination(
    name: str, own: Mapping[str, Any], settings: Settings, keys: tuple[str, ...] = ()
) -> Destination:
    shared = {key.lower(): getattr(settings, key.lower()) for key in (*SHARED, *keys)}
    path = NAME if keys else f"{NAME}['DESTINATIONS'][{name!r}]"
    return Destination(name=name, path=path, **{**shared, **own})


def _faults(
    destination: Destination,
    raw: Mapping[Any, Any],
    name: str | None,
    settings: Settings,
) -> Iterator[Problem]:
    if settings.enabled:
        fix = "Moloco's account manager gives it to you; until then set ENABLED to False."
        if name is None and "DESTINATIONS" in raw:
            fix += f" Or take {' and '.join(_own(raw))} out, which makes a destination of its own."
        for key in _REQUIRED:
            if raw.get(key) in (None, ""):
                yield Problem("missing", key, "is required", fix, name)
    least = 4 * sum(destination.timeout)
    if destination.lease < least:
        rule = f"must be at least four times the sum of TIMEOUT, here {least:g} seconds"
        fix = "Raise LEASE or lower TIMEOUT, or events with slow answers are sent twice."
        yield Problem("invalid", "LEASE", rule, fix, name)


def _ambiguous(destinations: Mapping[str, Destination]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for destination in destinations.values():
        for site in destination.sites:
            owner = owners.setdefault(site, destination.name)
            if owner != destination.name:
                rule = f"has {site!r}, as {owner!r} has"
                fix = "Give each site to one destination."
                yield Problem("invalid", "SITES", rule, fix, destination.name)


def problems() -> list[Problem]:
    """Return every fault of the present ``MOLOCO_RMP``."""
    return _parse(getattr(django_settings, NAME, None))[1]


@cache
def get_settings() -> Settings:
    """
    Return the present settings.

    :raises ImproperlyConfigured: there is a fault; the error names the key, the rule and the fix
    """
    settings, faults = _parse(getattr(django_settings, NAME, None))
    if faults:
        raise ImproperlyConfigured(" ".join(f"{fault} {fault.fix}" for fault in faults))
    return settings


def raises_errors() -> bool:
    """Return RAISE_ERRORS, even of settings that are otherwise at fault."""
    raw = getattr(django_settings, NAME, None)
    return isinstance(raw, Mapping) and raw.get("RAISE_ERRORS") is True


def is_switched_off() -> bool:
    """Return whether ENABLED is False, even of settings that are otherwise at fault."""
    raw = getattr(django_settings, NAME, None)
    return isinstance(raw, Mapping) and raw.get("ENABLED") is False


def named_relay() -> object:
    """Return RELAY as it was given, even of settings that are otherwise at fault."""
    raw = getattr(django_settings, NAME, None)
    return raw.get("RELAY") if isinstance(raw, Mapping) else None


def named_destinations() -> list[str]:
    """Return the names of the destinations, even of settings that are otherwise at fault."""
    raw = getattr(django_settings, NAME, None)
    raw = raw if isinstance(raw, Mapping) else {}
    entries = raw.get("DESTINATIONS")
    names = [str(name) for name in entries] if isinstance(entries, Mapping) else []
    if not names or _own(raw):
        names.insert(0, DEFAULT)
    return list(dict.fromkeys(names))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == NAME:
        get_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid=__name__)


def from_env(prefix: str = "MOLOCO_RMP_") -> dict[str, Any]:
    """
    Return the dict for ``MOLOCO_RMP`` from environment variables, read with django-environ.

    Each variable is the prefix and a key: ``MOLOCO_RMP_PLATFORM_ID``. Keys without a variable, or
    with a blank one, are left out: None is said in the dict itself, as in
    ``{**from_env(), "PERSISTENT_ID_COOKIE": None}``. Lists are separated by commas, PAGES is JSON.
    An entry of DESTINATIONS can be read in the same way: ``from_env("MOLOCO_RMP_DE_")``.
    Values are taken to the letter: keys may begin with ``$``, which django-environ reads as a
    reference.

    :raises ImproperlyConfigured: a variable cannot be read as its type
    """
    variables = environ.Env().ENVIRON
    values: dict[str, Any] = {}
    for key, known in (KEYS | DESTINATION_KEYS).items():
        name = prefix + key
        text = variables.get(name, "").strip()
        if text:
            try:
                values[key] = known.read(text)
            except FaultError as fault:
                raise ImproperlyConfigured(f"{name} {fault.rule}. {fault.fix}") from None
    return values
