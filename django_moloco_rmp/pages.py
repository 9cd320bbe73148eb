"""
Page ids: the name of the page a shopper is on, and of the one the shopper came from.

Nothing is stored for this. A referrer within the shop is a URL, and the URLconf knows its view.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from string import Formatter
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.urls import Resolver404, ResolverMatch, URLResolver, get_resolver
from django.urls.converters import REGISTERED_CONVERTERS
from django.utils.translation import get_language, get_language_from_path, override

from django_moloco_rmp.exceptions import InvalidEventError

#: The attribute by which a decorated view carries the template of its page id.
PAGE_ATTRIBUTE = "moloco_page"

#: Longest Referer header that is looked at, in characters.
MAX_REFERER_LENGTH = 2048

logger = logging.getLogger("django_moloco_rmp")

#: Most referrers and paths that are remembered, and the most characters that each may have: they
#: come from a header that anybody can write. They stay in this process's memory.
MAX_KNOWN_PATHS = 1024
MAX_KNOWN_PATH_LENGTH = 256

_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}")
_DEFAULT_PORT = re.compile(r":(80|443)?\Z")


def page_of(
    match: ResolverMatch, pages: Mapping[str, str], method: str | None = None
) -> str | None:
    """
    Return the page id of a view, or None if the view has no name as a page.

    The template comes from the view's decorator or from ``pages``, and is filled in with what the
    URL captured: ``CATEGORY:{slug}``, or ``CATEGORY:{0}`` for groups without a name.

    :param pages: names of URLs, with their namespaces, to templates
    :param method: HTTP method of the request, ``GET`` by default
    :raises InvalidEventError: the template asks for what the URL does not have
    """
    template = template_of(match.func, method or "GET") or pages.get(match.view_name)
    return None if template is None else fill(template, match)


def template_of(view: Any, method: str = "GET") -> str | None:
    """
    Return the template that a decorator has left on a view, or None.

    :param view: as in the URLconf; of a class, the decorator may be on the method for ``method``
        or, as it is the page that shoppers come from, on ``get``
    """
    own: str | None = getattr(view, PAGE_ATTRIBUTE, None)
    if own:
        return own
    cls = getattr(view, "view_class", None)
    places = (getattr(cls, name, None) for name in (method.lower(), "get"))
    found = (getattr(place, PAGE_ATTRIBUTE, None) for place in places)
    return next((template for template in found if template), None)


def fill(template: str, match: ResolverMatch) -> str:
    """
    Return a page id: the template, filled in with what the URL captured.

    :raises InvalidEventError: the template asks for what the URL does not have
    """
    try:
        return str(template).format(*match.args, **match.kwargs)
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        captured = ", ".join(match.kwargs) or "nothing by name"
        raise InvalidEventError(
            "page_id",
            f"template {template!r} of view {match.view_name!r} cannot be filled in"
            f" ({type(error).__name__}); its URL captures {captured}",
            "Use only what the URL captures, or give the URL pattern a default for it.",
        ) from error


def placeholders(template: str) -> set[int | str]:
    """
    Return what a template of a page id asks its URL for: names, and numbers of nameless groups.

    :raises ValueError: it is no template
    """
    probe = _Probe()
    probe.vformat(template, (), {})
    return probe.asked


class _Probe(Formatter):
    """Fills in nothing, and notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: set[int | str] = set()

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        # What follows is an attribute or an index of the value, which only the request knows.
        first = re.split(r"[.\[]", field_name, maxsplit=1)[0]
        self.asked.add(int(first) if first.isdecimal() else first)
        return "", first

    def check_unused_args(self, used_args: Any, args: Any, kwargs: Any) -> None: ...

    def format_field(self, value: Any, format_spec: str) -> str:
        return ""


def route_of(match: ResolverMatch) -> str:
    """
    Return the stand-in for the page id of a view without one: its route, ``/orders/<token>/``.

    Unlike a path it holds nothing of what the URL captured, so no token or id can leak.
    """
    return f"/{match.route or ''}"


def current_page(request: HttpRequest, pages: Mapping[str, str]) -> str | None:
    """
    Return the id of the page the shopper is looking at.

    An endpoint that is no page itself, such as the POST that fills a cart, counts as the page
    which the shopper sent it from.

    :param pages: as for :func:`page_of`
    :raises InvalidEventError: the template of the view itself cannot be filled in
    """
    match = request.resolver_match
    if match is None:
        return None
    page = page_of(match, pages, request.method)
    if page is not None:
        return page
    if _is_read(request):
        return route_of(match)
    referer = _referer(request)
    if referer is None or not _is_internal(request, referer):
        return None
    return _internal_page(request, referer, pages)


def referrer_page(request: HttpRequest, pages: Mapping[str, str]) -> str | None:
    """
    Return the id of the page the shopper came from.

    Within the shop this is the page id of the referrer's view, or else its route, or its path when
    it is not in the URLconf. For other sites it is host and path, without query and fragment.
    None if there is no referrer, and on an endpoint whose current page is the referrer already.

    :param pages: as for :func:`page_of`
    :raises InvalidEventError: the template of the view itself cannot be filled in
    """
    referer = _referer(request)
    if referer is None:
        return None
    match = request.resolver_match
    if not _is_read(request) and (match is None or page_of(match, pages, request.method) is None):
        return None
    internal = _is_internal(request, referer)
    if internal is None:
        return None
    return _internal_page(request, referer, pages) if internal else _external_page(referer)


def external_referrer(request: HttpRequest) -> str | None:
    """Return host and path of the other site that the shopper came from, or None."""
    referer = _referer(request)
    if referer is None or _is_internal(request, referer) is not False:
        return None
    return _external_page(referer)


def _is_read(request: HttpRequest) -> bool:
    return request.method in {"GET", "HEAD"}


def _referer(request: HttpRequest) -> SplitResult | None:
    header: str = request.META.get("HTTP_REFERER", "")
    if not header:
        return None
    if len(header) > MAX_KNOWN_PATH_LENGTH:
        return _parsed(header[:MAX_REFERER_LENGTH])
    return _parsed_once(header)


def _parsed(value: str) -> SplitResult | None:
    if not value.isprintable():
        return None
    try:
        parts = urlsplit(value.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or host is None or not _HOST.fullmatch(host):
        return None
    # hostname is in lower case, and has lost brackets and user name.
    netloc = f"[{host}]" if ":" in host else host
    return parts._replace(netloc=netloc if port is None else f"{netloc}:{port}")


_parsed_once = lru_cache(maxsize=MAX_KNOWN_PATHS)(_parsed)


def _is_internal(request: HttpRequest, referer: SplitResult) -> bool | None:
    """Return whether the referrer is on the shop's own host; None if that is not known."""
    try:
        host = request.get_host()
    except DisallowedHost:
        return None
    # The scheme is not compared: behind a proxy that ends TLS it is often the wrong one.
    return _DEFAULT_PORT.sub("", referer.netloc) == _DEFAULT_PORT.sub("", host.lower())


def _internal_page(request: HttpRequest, referer: SplitResult, pages: Mapping[str, str]) -> str:
    path = referer.path or "/"
    prefix = request.META.get("SCRIPT_NAME", "").rstrip("/")
    decoded = unquote(path)
    # Outside of the prefix is another site. (Of "/shopping", "ping" would be left: no path at all.)
    if decoded.startswith(prefix):
        match = _resolve(request, decoded.removeprefix(prefix) or "/")
        if match is not None:
            return _page_left(match, pages) or route_of(match)
    return path


def _page_left(match: ResolverMatch, pages: Mapping[str, str]) -> str | None:
    """:func:`page_of` for the page before: its broken template must not cost this page's events."""
    try:
        return page_of(match, pages)
    except InvalidEventError as error:
        _tell_once(str(error))
        return None


@cache
def _tell_once(fault: str) -> None:
    # There are no more faults than templates, as what a URL captured is not part of the text.
    logger.error("Pages count under their route: %s", fault, extra={"reason": "configuration"})


def _resolve(request: HttpRequest, path: str) -> ResolverMatch | None:
    urlconf = getattr(request, "urlconf", None) or settings.ROOT_URLCONF
    with suppress(Resolver404):
        return _resolve_known(urlconf, path)
    if not is_language_prefix_patterns_used(urlconf)[0]:
        return None
    # The shopper may have come from a page in another language, by switching it for example.
    with override(get_language_from_path(path) or settings.LANGUAGE_CODE):
        try:
            return _resolve_known(urlconf, path)
        except Resolver404:
            return None


def _resolve_known(urlconf: str, path: str) -> ResolverMatch:
    """
    Resolve a path, with an answer from memory where it must be the same again.

    :raises Resolver404: it is no path of the shop
    """
    resolver = get_resolver(urlconf)
    # A converter of the shop's own may look into the database, and find something else next time.
    if len(path) > MAX_KNOWN_PATH_LENGTH or REGISTERED_CONVERTERS:
        return resolver.resolve(path)
    return _resolve_once(resolver, get_language(), path)


# By the resolver itself, for Django makes another one when ROOT_URLCONF is overridden; and by the
# language, on which prefixes and translated routes depend. What is not found is not remembered, or
# made-up referrers would push out the shop's pages.
@lru_cache(maxsize=MAX_KNOWN_PATHS)
def _resolve_once(resolver: URLResolver, language: str | None, path: str) -> ResolverMatch:
    return resolver.resolve(path)


def _external_page(referer: SplitResult) -> str:
    return referer.netloc + ("" if referer.path == "/" else referer.path)
