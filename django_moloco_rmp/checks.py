"""System checks: what ``manage.py check`` says of the settings. Ids are never used again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import Formatter
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.urls import ResolverMatch, URLPattern, URLResolver, get_resolver

from django_moloco_rmp.client import endpoint
from django_moloco_rmp.conf import NAME, Settings, get_settings, problems
from django_moloco_rmp.runners.thread import is_threadless

MIDDLEWARE = "django_moloco_rmp.middleware.MolocoMiddleware"
_BEFORE = (
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
_IDS = {
    "shape": "moloco_rmp.E001",
    "unknown": "moloco_rmp.E002",
    "missing": "moloco_rmp.E003",
    "invalid": "moloco_rmp.E004",
}
_SHORTEST_KEY = 32

Apps = Sequence[AppConfig] | None


def _settings() -> Settings | None:
    try:
        return get_settings()
    except ImproperlyConfigured:
        return None  # check_settings says why


def check_settings(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """E001 to E005, W005: ``MOLOCO_RMP`` and its keys."""
    found: list[CheckMessage] = [
        Error(str(fault), hint=fault.fix, id=_IDS[fault.kind]) for fault in problems()
    ]
    settings = _settings()
    if settings is None or not settings.enabled:
        return found
    try:
        url = endpoint(
            settings.platform_id,
            platform_name=settings.platform_name,
            domain_suffix=settings.domain_suffix,
            base_url=settings.base_url,
        )
    except ValueError as error:
        hint = (
            "Compare PLATFORM_ID, PLATFORM_NAME, DOMAIN_SUFFIX and BASE_URL with what Moloco gave."
        )
        return [
            *found,
            Error(f"{NAME} gives no address to send to: {error}.", hint=hint, id="moloco_rmp.E005"),
        ]
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
        found.append(
            CheckWarning(
                f"{NAME}['BASE_URL'] is an address without encryption.",
                hint="Use https://, or anybody on the way can read the API key.",
                id="moloco_rmp.W005",
            )
        )
    return found


def check_pages(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """W001, E006: names of URLs and templates in PAGES."""
    settings = _settings()
    # As Django's own checks have it: a project without pages has no URLs to look into.
    has_urls = bool(getattr(django_settings, "ROOT_URLCONF", None))
    if settings is None or not settings.pages or not has_urls:
        return []
    names = set(_view_names(get_resolver().url_patterns))
    found: list[CheckMessage] = []
    for name, template in settings.pages.items():
        if name not in names:
            found.append(
                CheckWarning(
                    f"{NAME}['PAGES'] names {name!r}, which is no name of a URL.",
                    hint="Write it with its namespaces, as request.resolver_match.view_name.",
                    id="moloco_rmp.W001",
                )
            )
        try:
            list(Formatter().parse(template))
        except ValueError as error:
            found.append(
                Error(
                    f"{NAME}['PAGES'][{name!r}] is no template: {error}.",
                    hint="Write placeholders as in 'CATEGORY:{slug}'.",
                    id="moloco_rmp.E006",
                )
            )
    return found


def _view_names(patterns: Any, namespaces: Sequence[str | None] = ()) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _view_names(pattern.url_patterns, (*namespaces, pattern.namespace))
        elif isinstance(pattern, URLPattern):
            match = ResolverMatch(pattern.callback, (), {}, pattern.name, None, [*namespaces])
            yield match.view_name


def check_middleware(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """W002, E007: the middleware is there, and in its place."""
    middleware = list(django_settings.MIDDLEWARE)
    if MIDDLEWARE not in middleware:
        return [
            CheckWarning(
                "MolocoMiddleware is missing: no event will know its shopper.",
                hint=f"Add {MIDDLEWARE!r} to MIDDLEWARE, below AuthenticationMiddleware.",
                id="moloco_rmp.W002",
            )
        ]
    place = middleware.index(MIDDLEWARE)
    return [
        Error(
            f"MolocoMiddleware stands before {other.rpartition('.')[2]} in MIDDLEWARE.",
            hint=f"Move {MIDDLEWARE!r} below {other!r}.",
            id="moloco_rmp.E007",
        )
        for other in _BEFORE
        if other in middleware[place:]
    ]


def check_threads(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """W006: the server lets the background thread run."""
    settings = _settings()
    if settings is None or not settings.enabled or not is_threadless():
        return []
    found = [
        CheckWarning(
            "uWSGI runs without threads, so no event is buffered: each costs a commit of its own.",
            hint="Start it with --enable-threads.",
            id="moloco_rmp.W006",
        )
    ]
    if settings.relay == "thread":
        found.append(
            CheckWarning(
                f"{NAME}['RELAY'] is 'thread', and uWSGI runs without threads: nothing is sent.",
                hint="Start it with --enable-threads, or run manage.py moloco_relay beside it.",
                id="moloco_rmp.W007",
            )
        )
    return [*found]


def check_hash_key(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """W003, W004 (deployment): HASH_KEY is set, and long enough."""
    settings = _settings()
    if settings is None or not settings.enabled:
        return []
    if settings.hash_key is None:
        return [
            CheckWarning(
                f"{NAME}['HASH_KEY'] is not set, so shopper ids are derived from SECRET_KEY.",
                hint="Set it once and for all: else a new SECRET_KEY renames every shopper.",
                id="moloco_rmp.W003",
            )
        ]
    if len(settings.hash_key) < _SHORTEST_KEY:
        return [
            CheckWarning(
                f"{NAME}['HASH_KEY'] is shorter than {_SHORTEST_KEY} characters.",
                hint="Make one with python -c 'import secrets; print(secrets.token_urlsafe(48))'.",
                id="moloco_rmp.W004",
            )
        ]
    return []
