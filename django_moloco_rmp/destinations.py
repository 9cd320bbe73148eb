"""
Destinations: which of Moloco's platforms an event goes to.

By name, where the shop gives one; else by what DESTINATION says of the request, by the request's
host, or by the settings alone.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.request import split_domain_port
from django.utils.http import is_same_domain

from django_moloco_rmp.conf import DEFAULT, Destination, Settings
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.hooks import ask

_HOOK = "the callable in MOLOCO_RMP['DESTINATION']"


def named(settings: Settings, name: object) -> Destination:
    """
    Return the destination of a name.

    :raises InvalidEventError: there is none
    """
    found = settings.destinations.get(name) if isinstance(name, str) else None
    if found is None:
        shown = repr(name) if isinstance(name, str) else f"a {type(name).__name__}"
        raise InvalidEventError(
            "destination", f"{shown} is none", f"Use one of {', '.join(settings.destinations)}."
        )
    return found


def usual(settings: Settings) -> Destination | None:
    """
    Return where events go of which nothing else is known: what DESTINATION names, the one of the
    name ``default``, or the only one. None if there are several, and none of these.
    """
    if isinstance(settings.destination, str):
        return settings.destinations[settings.destination]
    if len(settings.destinations) == 1:
        return next(iter(settings.destinations.values()))
    return settings.destinations.get(DEFAULT)


def chosen(settings: Settings, request: HttpRequest) -> Destination | None:
    """
    Return where a request's events go: what the callable in DESTINATION says, unless that is None;
    else the one that has the request's host in SITES, else the usual one.

    :raises InvalidEventError: the callable failed, or names none
    """
    if len(settings.destinations) == 1:
        # Nothing is left to choose; and what would be asked takes time.
        return usual(settings)
    hook = settings.destination
    if callable(hook):
        name: object = ask("destination", _HOOK, hook, request, _as_it_is)
        if name is not None:
            return named(settings, name)
    return _by_site(settings, request) or usual(settings)


def _as_it_is(answer: Any) -> Any:
    return answer


def _by_site(settings: Settings, request: HttpRequest) -> Destination | None:
    patterns = {site: each for each in settings.destinations.values() for site in each.sites}
    if not patterns:
        return None
    try:
        host = split_domain_port(request.get_host())[0]
    except DisallowedHost:
        return None  # of a page that answers to any host
    # A name itself before a pattern of a longer domain before one of a shorter.
    fitting = [site for site in patterns if is_same_domain(host, site)]
    best = max(fitting, key=lambda site: (not site.startswith("."), len(site)), default=None)
    return None if best is None else patterns[best]
