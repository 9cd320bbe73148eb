"""System checks: what ``manage.py check`` says of the settings. Ids are never used again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig, apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.urls import ResolverMatch, URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string
from django.views import View

from django_moloco_rmp.conf import NAME, Destination, Settings, get_settings, problems
from django_moloco_rmp.endpoints import endpoint
from django_moloco_rmp.pages import placeholders, template_of
from django_moloco_rmp.runners.thread import RUNNERS, is_threadless

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
_NEEDS = {"celery": "the package celery", "tasks": "Django 6.0 or newer"}
_COOKIES = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "LANGUAGE_COOKIE_NAME")

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
    for destination in settings.destinations.values():
        found += _address_faults(destination)
    return found


def _address_faults(destination: Destination) -> Iterator[CheckMessage]:
    try:
        url = endpoint(
            destination.platform_id,
            platform_name=destination.platform_name,
            domain_suffix=destination.domain_suffix,
            base_url=destination.base_url,
        )
    except ValueError as error:
        hint = (
            "Compare PLATFORM_ID, PLATFORM_NAME, DOMAIN_SUFFIX and BASE_URL with what Moloco gave."
        )
        yield Error(
            f"{destination.path} gives no address to send to: {error}.",
            hint=hint,
            id="moloco_rmp.E005",
        )
        return
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
        yield CheckWarning(
            f"{destination.path}['BASE_URL'] is an address without encryption.",
            hint="Use https://, or anybody on the way can read the API key.",
            id="moloco_rmp.W005",
        )


def check_pages(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """W001, E006, E009: the page ids of PAGES and of decorators, and the URLs they are for."""
    settings = _settings()
    # As Django's own checks have it: a project without pages has no URLs to look into.
    has_urls = bool(getattr(django_settings, "ROOT_URLCONF", None))
    if settings is None or not has_urls:
        return []
    routes = list(_routes(get_resolver().url_patterns))
    names = {route.name for route in routes}
    found: list[CheckMessage] = [
        CheckWarning(
            f"{NAME}['PAGES'] names {name!r}, which is no name of a URL.",
            hint="Write it with its namespaces, as request.resolver_match.view_name.",
            id="moloco_rmp.W001",
        )
        for name in settings.pages
        if name not in names
    ]
    pages: dict[tuple[str, str], list[_Route]] = {}
    for name, template in settings.pages.items():
        # A decorator wins over PAGES, as in page_of().
        undecorated = [each for each in routes if each.name == name and not each.templates]
        pages[f"{NAME}['PAGES'][{name!r}]", template] = undecorated
    for route in routes:
        for template in sorted(route.templates):
            where = f"The page of view {route.name!r}, {template!r},"
            pages.setdefault((where, template), []).append(route)
    for (where, template), those in pages.items():
        found += _template_faults(where, template, those)
    return found


@dataclass(frozen=True, slots=True)
class _Route:
    """A URL pattern with those around it: name, path, what it captures, its decorators' pages."""

    name: str
    path: str
    captures: frozenset[int | str]
    templates: frozenset[str]


def _template_faults(where: str, template: str, routes: list[_Route]) -> Iterator[CheckMessage]:
    try:
        asked = placeholders(template)
    except ValueError as error:
        yield Error(
            f"{where} is no template: {error}.",
            hint="Write placeholders as in 'CATEGORY:{slug}'.",
            id="moloco_rmp.E006",
        )
        return
    for route in routes:
        missing = ", ".join(sorted(f"{{{each}}}" for each in asked - route.captures))
        if missing:
            captured = ", ".join(sorted(map(str, route.captures))) or "nothing"
            yield Error(
                f"{where} asks for {missing}, which the URL {route.path!r} does not have.",
                hint=f"It captures {captured}. Use that, or give its pattern a default.",
                id="moloco_rmp.E009",
            )


def _routes(
    patterns: Any,
    namespaces: Sequence[str | None] = (),
    path: str = "",
    names: frozenset[str] = frozenset(),
    groups: int = 0,
) -> Iterator[_Route]:
    for pattern in patterns:
        is_leaf = isinstance(pattern, URLPattern)
        if is_leaf:
            defaults = pattern.default_args
        elif isinstance(pattern, URLResolver):
            defaults = pattern.default_kwargs
        else:
            continue  # Django's own check says that it is no URL
        regex = pattern.pattern.regex
        own = {*regex.groupindex, *defaults}
        # Groups without a name count only where there is none with one: RegexPattern.match().
        count = 0 if regex.groupindex else regex.groups
        # And those further out only where there is no name from there on: URLResolver.resolve().
        total = groups + count if not own else count if is_leaf else 0
        full = f"{path}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            inner = (*namespaces, pattern.namespace)
            yield from _routes(pattern.url_patterns, inner, full, names | own, total)
        else:
            match = ResolverMatch(pattern.callback, (), {}, pattern.name, None, [*namespaces])
            found = (template_of(pattern.callback, name) for name in View.http_method_names)
            templates = frozenset(template for template in found if template)
            yield _Route(match.view_name, full, names.union(own, range(total)), templates)


def check_middleware(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """W002, E007: the middleware is there, and in its place. Subclasses count as what they are."""
    entries = [(entry, _classes(entry)) for entry in django_settings.MIDDLEWARE]
    place = next((i for i, (_, classes) in enumerate(entries) if MIDDLEWARE in classes), None)
    if place is None:
        return [
            CheckWarning(
                "MolocoMiddleware is missing: no event will know its shopper.",
                hint=f"Add {MIDDLEWARE!r} to MIDDLEWARE, below AuthenticationMiddleware.",
                id="moloco_rmp.W002",
            )
        ]
    ours = entries[place][0]
    return [
        Error(
            f"{ours.rpartition('.')[2]} stands before {other.rpartition('.')[2]} in MIDDLEWARE.",
            hint=f"Move {ours!r} below {other!r}.",
            id="moloco_rmp.E007",
        )
        for other, classes in entries[place:]
        if not classes.isdisjoint(_BEFORE)
    ]


def _classes(entry: str) -> set[str]:
    """Return the dotted paths of a middleware and its base classes."""
    try:
        middleware = import_string(entry)
    except Exception:
        # Django itself says so, when it loads the middleware.
        return {entry}
    bases = middleware.__mro__ if isinstance(middleware, type) else ()
    return {entry, *(f"{each.__module__}.{each.__qualname__}" for each in bases)}


def check_cookie(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """E008: the cookie of the browser's id replaces none of Django's."""
    settings = _settings()
    if settings is None or not settings.enabled:
        return []
    name = settings.persistent_id_cookie
    return [
        Error(
            f"{NAME}['PERSISTENT_ID_COOKIE'] is {name!r}, as {other} is: it would replace that.",
            hint="Give it a name of its own, such as the default, 'moloco_pid'.",
            id="moloco_rmp.E008",
        )
        for other in _COOKIES
        if name is not None and name == getattr(django_settings, other)
    ]


def check_threads(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """W006, W007: the server lets the background thread run."""
    settings = _settings()
    if settings is None or not settings.enabled or not is_threadless():
        return []
    found = [
        CheckWarning(
            "uWSGI runs without threads, so no event is buffered: each costs a commit of its own.",
            hint="Start it with --enable-threads, which only uWSGI before 2.0.27 needs.",
            id="moloco_rmp.W006",
        )
    ]
    if settings.relay in RUNNERS:
        found.append(
            CheckWarning(
                f"{NAME}['RELAY'] is {settings.relay!r}, and uWSGI runs without threads: nothing "
                "is sent from here.",
                hint="Start it with --enable-threads, which only uWSGI before 2.0.27 needs, or run "
                "manage.py moloco_relay beside it.",
                id="moloco_rmp.W007",
            )
        )
    return [*found]


def check_runner(app_configs: Apps = None, **_: Any) -> list[CheckMessage]:
    """E010, E011, W008, W009: the task queue that RELAY names can be told, and does its work."""
    settings = _settings()
    if settings is None or not settings.enabled or settings.relay not in _NEEDS:
        return []
    name = f"{NAME}['RELAY']"
    look: Callable[[Any], Iterator[CheckMessage]]
    look = _celery_faults if settings.relay == "celery" else _tasks_faults
    try:
        return [*look(import_module(f"django_moloco_rmp.runners.{settings.relay}"))]
    except ImportError:
        rule = f"is {settings.relay!r}, which needs {_NEEDS[settings.relay]}."
        fix = "Install it"
    except Exception as error:
        # There are backends of many makers, which are first made here.
        rule = f"is {settings.relay!r}, but {error}."
        fix = "Mend that"
    hint = f"{fix}, or set RELAY to 'command'. As it is nothing would be sent."
    return [Error(f"{name} {rule}", hint=hint, id="moloco_rmp.E010")]


def _celery_faults(runner: Any) -> Iterator[CheckMessage]:
    # In another thread, for that is where it will be looked for.
    with ThreadPoolExecutor(1) as threads:
        app = threads.submit(runner.application).result()
    # Timetables may be set up by then.
    app.finalize()
    entries = app.conf.beat_schedule.values()
    tasks = {each["task"] if isinstance(each, dict) else each.task for each in entries}
    # Others keep their timetable in the database.
    is_here = app.conf.beat_scheduler == "celery.beat:PersistentScheduler"
    if runner.TASK not in tasks and is_here and not apps.is_installed("django_celery_beat"):
        yield CheckWarning(
            f"No entry of Celery's beat_schedule calls {runner.TASK!r}.",
            hint="Have it called every minute, or cron call moloco_relay --until-empty: else "
            "events wait for the next one to come when a nudge is lost, and after an outage.",
            id="moloco_rmp.W009",
        )


def _tasks_faults(runner: Any) -> Iterator[CheckMessage]:
    task = runner.present_task()
    names = {each.__name__ for each in type(task.get_backend()).__mro__}
    where = f"{NAME}['RELAY'] is 'tasks', and TASKS[{task.backend!r}] is"
    hint = f"Give it, or an entry {runner.OWN_BACKEND!r}, a backend with a worker."
    if "ImmediateBackend" in names:
        yield Error(
            f"{where} the immediate backend: it would send inside the process that reports.",
            hint=hint,
            id="moloco_rmp.E011",
        )
    elif "DummyBackend" in names:
        yield CheckWarning(
            f"{where} the dummy backend, which does nothing.", hint=hint, id="moloco_rmp.W008"
        )


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
