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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    ``MOLOCO_RMP`` with its defaults; each field is the key of the same name in lower case.

    Units: ``timeout`` (connect and read), ``lease`` and ``persistent_id_cookie_age`` in seconds,
    ``rejected_days`` and ``dedupe_days`` in days.
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
    relay: str = "thread"
    timeout: tuple[float, float] = (3.05, 10.0)
    concurrency: int = 8
    batch_size: int = 50
    lease: int = 120
    rejected_days: int = 30
    dedupe_days: int = 30


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of ``MOLOCO_RMP``: the key (None for the whole), what is wrong, and the fix."""

    kind: Literal["shape", "unknown", "missing", "invalid"]
    key: str | None
    rule: str
    fix: str


def _parse(raw: object) -> tuple[dict[str, Any], list[Problem]]:
    if not isinstance(raw, Mapping):
        return {}, [Problem("shape", None, "is not set to a dict", "Define MOLOCO_RMP = {...}.")]
    values: dict[str, Any] = {}
    problems = []
    for key, value in raw.items():
        known = KEYS.get(key)
        if known is None:
            close = get_close_matches(str(key).upper(), KEYS, n=1)
            fix = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(KEYS)}."
            problems.append(Problem("unknown", str(key), "is no setting of this app", fix))
            continue
        try:
            values[key.lower()] = known.parse(value)
        except FaultError as fault:
            problems.append(Problem("invalid", key, fault.rule, fault.fix))
    if values.get("enabled", True):
        problems += [
            Problem("missing", key, "is required", "Moloco's account manager gives it to you.")
            for key in ("PLATFORM_ID", "API_KEY")
            if key not in raw
        ]
    connect, read = values.get("timeout", (3.05, 10.0))
    lease = values.get("lease", 120)
    if lease < 4 * (connect + read):
        problems.append(
            Problem(
                "invalid",
                "LEASE",
                f"must be at least four times TIMEOUT's sum, {4 * (connect + read):g} seconds",
                "Raise LEASE or lower TIMEOUT, or slow answers are sent twice.",
            )
        )
    return values, problems


def problems() -> list[Problem]:
    """Return every fault of the present ``MOLOCO_RMP``."""
    return _parse(getattr(django_settings, NAME, None))[1]


@cache
def get_settings() -> Settings:
    """
    Return the present settings.

    :raises ImproperlyConfigured: there is a fault; the error names the key, the rule and the fix
    """
    values, faults = _parse(getattr(django_settings, NAME, None))
    for fault in faults:
        where = NAME if fault.key is None else f"{NAME}[{fault.key!r}]"
        raise ImproperlyConfigured(f"{where}: {fault.rule}. {fault.fix}")
    return Settings(**values)


def raises_errors() -> bool:
    """Return RAISE_ERRORS, even of settings that are otherwise at fault."""
    raw = getattr(django_settings, NAME, None)
    return isinstance(raw, Mapping) and raw.get("RAISE_ERRORS") is True


def _forget(*, setting: str, **_: Any) -> None:
    if setting == NAME:
        get_settings.cache_clear()


setting_changed.connect(_forget, dispatch_uid=__name__)


def from_env(prefix: str = "MOLOCO_RMP_") -> dict[str, Any]:
    """
    Return the dict for ``MOLOCO_RMP`` from environment variables, read with django-environ.

    Each variable is the prefix and a key: ``MOLOCO_RMP_PLATFORM_ID``. Keys without a variable are
    left out. Lists are separated by commas, PAGES is JSON, and a blank text is None.

    :raises ImproperlyConfigured: a variable cannot be read as its type
    """
    env = environ.Env()
    values: dict[str, Any] = {}
    for key, known in KEYS.items():
        name = prefix + key
        if name in env:
            try:
                values[key] = known.read(env.str(name).strip())
            except ValueError as error:
                raise ImproperlyConfigured(f"{name}: cannot be read: {error}.") from None
    return values
