"""
The one setting of the app, ``MOLOCO_RMP``: parsed into a frozen :class:`Settings`, read when it is
needed, and read anew when a test overrides it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal

import environ
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from django_moloco_rmp.choices import PersonalizationMode
from django_moloco_rmp.parsers import KEYS, FaultError

NAME = "MOLOCO_RMP"
_REQUIRED = ("PLATFORM_ID", "API_KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    ``MOLOCO_RMP`` with its defaults; each field is the key of the same name in lower case.

    Units: ``timeout`` (connect and read), ``lease``, ``persistent_id_cookie_age`` and ``health_*``
    in seconds, ``max_qps`` in calls per second of all processes together, ``rejected_days`` and
    ``dedupe_days`` in days.
    """

    platform_id: str = ""
    api_key: str = field(default="", repr=False)
    platform_name: str | None = None
    domain_suffix: str = "rmp-api.moloco.com"
    base_url: str | None = None
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
    """One fault of ``MOLOCO_RMP``: the key (None for the whole), what is wrong, and the fix."""

    kind: Literal["shape", "unknown", "missing", "invalid"]
    key: str | None
    rule: str
    fix: str

    def __str__(self) -> str:
        return f"{NAME if self.key is None else f'{NAME}[{self.key!r}]'} {self.rule}."


def _parse(raw: object) -> tuple[Settings, list[Problem]]:
    if not isinstance(raw, Mapping):
        fix = f"Set {NAME} = {{'PLATFORM_ID': ..., 'API_KEY': ...}}."
        return Settings(), [Problem("shape", None, "is not set to a dict", fix)]
    values: dict[str, Any] = {}
    problems = []
    missing = [key for key in _REQUIRED if raw.get(key) in (None, "")]
    for key, value in raw.items():
        known = KEYS.get(key)
        if known is None:
            close = get_close_matches(str(key).upper(), KEYS, n=1)
            fix = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(KEYS)}."
            problems.append(Problem("unknown", str(key), "is no setting of this app", fix))
        elif key not in missing:
            try:
                values[key.lower()] = known.parse(value)
            except FaultError as fault:
                problems.append(Problem("invalid", key, fault.rule, fault.fix))
    settings = Settings(**values)
    if settings.enabled:
        fix = "Moloco's account manager gives it to you; until then set ENABLED to False."
        problems += [Problem("missing", key, "is required", fix) for key in missing]
    least = 4 * sum(settings.timeout)
    if settings.lease < least:
        rule = f"must be at least four times the sum of TIMEOUT, here {least:g} seconds"
        fix = "Raise LEASE or lower TIMEOUT, or events with slow answers are sent twice."
        problems.append(Problem("invalid", "LEASE", rule, fix))
    return settings, problems


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
    Values are taken to the letter: keys may begin with ``$``, which django-environ reads as a
    reference.

    :raises ImproperlyConfigured: a variable cannot be read as its type
    """
    variables = environ.Env().ENVIRON
    values: dict[str, Any] = {}
    for key, known in KEYS.items():
        name = prefix + key
        text = variables.get(name, "").strip()
        if text:
            try:
                values[key] = known.read(text)
            except FaultError as fault:
                raise ImproperlyConfigured(f"{name} {fault.rule}. {fault.fix}") from None
    return values
