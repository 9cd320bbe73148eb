"""
Decorators for views: :func:`page` names the page a view shows; the others also report an event
when the view's response is a success.

They fit sync and async functions, and classes through ``method_decorator(..., name="dispatch")``
or on one method. What a method is decorated with names its page by the class's own
``as_view()``; a framework whose views hide their class knows the page of its events only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import isawaitable
from typing import Any, Protocol, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import SimpleTemplateResponse

from django_moloco_rmp.events import EventType
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.pages import PAGE_ATTRIBUTE, external_referrer, fill
from django_moloco_rmp.text import clean
from django_moloco_rmp.tracking import atrack, guard, track

__all__ = [
    "home",
    "item_page_view",
    "land",
    "page",
    "page_view",
    "search",
    "track_view",
]

#: The attribute by which a decorated view tells that it reports an event of a type.
EVENT_ATTRIBUTE = "moloco_reports_{}"

View = Callable[..., Any]
AnyView = TypeVar("AnyView", bound=View)
#: Turns a view's request, response and URL keywords into keywords for track(); None: no event.
Arguments = Callable[..., dict[str, Any] | None]
Source = str | Callable[..., Any]


class Decorator(Protocol):
    """What returns a view of the same type as it gets."""

    def __call__(self, view: AnyView, /) -> AnyView:
        """Return the decorated view."""
        ...


def page(template: str) -> Decorator:
    """
    Name the page that a view shows, without reporting anything.

    :param template: page id, filled in with what the URL captured: ``CATEGORY:{slug}``
    """
    _require_text("page", template)

    def decorate(view: AnyView, /) -> AnyView:
        if iscoroutinefunction(view):

            @wraps(view)
            async def ainner(*args: Any, **kwargs: Any) -> Any:
                return await view(*args, **kwargs)

            inner: View = ainner
        else:

            @wraps(view)
            def sync_inner(*args: Any, **kwargs: Any) -> Any:
                return view(*args, **kwargs)

            inner = sync_inner
        setattr(inner, PAGE_ATTRIBUTE, template)
        return cast("AnyView", inner)

    return decorate


def track_view(
    event_type: EventType | str,
    page: str | None = None,
    *,
    items: Source | None = None,
    search_query: Source | None = None,
) -> Decorator:
    """
    Report an event of any type for each success of a view.

    :param event_type: type of the event
    :param page: as for :func:`page`; by default PAGES names the page
    :param items: key of a TemplateResponse's context, or a callable of request, response and the
        URL's keywords
    :param search_query: name of a GET parameter, or a callable like that for items
    """
    kind = EventType(event_type)

    def arguments(request: HttpRequest, response: Any, /, **kwargs: Any) -> dict[str, Any] | None:
        found: dict[str, Any] = {}
        if items is not None:
            found["items"] = _from_response(items, request, response, kwargs)
        if search_query is not None:
            found["search_query"] = _from_query(search_query, request, response, kwargs)
        return found

    return _emitting(kind, page, arguments)


@overload
def page_view(page: AnyView) -> AnyView: ...
@overload
def page_view(page: str | None = None) -> Decorator: ...
def page_view(page: Any = None) -> Any:
    """Report PAGE_VIEW; ``page`` as for :func:`page`, by default PAGES names the page."""
    return _bare("page_view", EventType.PAGE_VIEW, page, _nothing)


@overload
def home(page: AnyView) -> AnyView: ...
@overload
def home(page: str | None = None) -> Decorator: ...
def home(page: Any = None) -> Any:
    """Report HOME; also without parentheses, as ``@home``."""
    return _bare("home", EventType.HOME, page, _nothing)


@overload
def land(page: AnyView) -> AnyView: ...
@overload
def land(page: str | None = None) -> Decorator: ...
def land(page: Any = None) -> Any:
    """Report LAND when the shopper comes from another site; also without parentheses."""

    def arguments(request: HttpRequest, response: Any, /, **kwargs: Any) -> dict[str, Any] | None:
        referrer = external_referrer(request)
        return None if referrer is None else {"referrer_page_id": referrer}

    return _bare("land", EventType.LAND, page, arguments)


@overload
def search(page: AnyView) -> AnyView: ...
@overload
def search(page: str | None = None, *, query: Source = "q") -> Decorator: ...
def search(page: Any = None, *, query: Source = "q") -> Any:
    """
    Report SEARCH, unless the query is blank; also without parentheses.

    :param page: as for :func:`page`
    :param query: name of a GET parameter, or a callable of request, response and URL keywords
    """

    def arguments(request: HttpRequest, response: Any, /, **kwargs: Any) -> dict[str, Any] | None:
        text = _from_query(query, request, response, kwargs)
        return {"search_query": text} if text and clean(text).strip() else None

    return _bare("search", EventType.SEARCH, page, arguments)


def item_page_view(page: str | None = None, *, item: Source) -> Decorator:
    """
    Report ITEM_PAGE_VIEW.

    :param page: as for :func:`page`, say ``PRODUCT_DETAIL_PAGE:{slug}``
    :param item: key of a TemplateResponse's context (``"product"``), or a callable of request,
        response and the URL's keywords
    """

    def arguments(request: HttpRequest, response: Any, /, **kwargs: Any) -> dict[str, Any] | None:
        return {"items": _from_response(item, request, response, kwargs)}

    return _emitting(EventType.ITEM_PAGE_VIEW, page, arguments)


def _nothing(request: HttpRequest, response: Any, /, **kwargs: Any) -> dict[str, Any] | None:
    return {}


def _require_text(name: str, template: object) -> None:
    if not isinstance(template, str):
        raise TypeError(
            f"@{name} takes the page's id as a text: write @{name}('CATEGORY:{{slug}}')"
        )


def _bare(name: str, event_type: EventType, page: Any, arguments: Arguments) -> Any:
    if page is not None and not isinstance(page, str) and callable(page):
        return _emitting(event_type, None, arguments)(page)
    if page is not None:
        _require_text(name, page)
    return _emitting(event_type, page, arguments)


def _emitting(event_type: EventType, template: str | None, arguments: Arguments) -> Decorator:
    if template is not None:
        _require_text(event_type.lower(), template)

    def decorate(view: AnyView, /) -> AnyView:
        inner = _awrap(view) if iscoroutinefunction(view) else _wrap(view)
        setattr(inner, EVENT_ATTRIBUTE.format(event_type), True)
        if template is not None:
            setattr(inner, PAGE_ATTRIBUTE, template)
        return cast("AnyView", inner)

    def _wrap(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            response = view(request, *args, **kwargs)
            if isawaitable(response):
                # dispatch() of an async class, which is no coroutine function itself.
                return _after(response, request, kwargs)
            if not _emit_once_rendered(response, request, kwargs):
                emit(request, response, kwargs)
            return response

        return inner

    def _awrap(view: View) -> View:
        @wraps(view)
        async def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return await _after(view(request, *args, **kwargs), request, kwargs)

        return inner

    async def _after(
        answer: Awaitable[HttpResponseBase], request: HttpRequest, kwargs: dict[str, Any]
    ) -> HttpResponseBase:
        response = await answer
        if not _emit_once_rendered(response, request, kwargs):
            with guard(event_type):
                keywords = wanted(request, response, kwargs)
                if keywords is not None:
                    await atrack(event_type, request=request, **keywords)
        return response

    def _emit_once_rendered(response: Any, request: HttpRequest, kwargs: dict[str, Any]) -> bool:
        if getattr(response, "is_rendered", True):
            return False
        # A template that fails is no success. Django renders in a thread where it may wait.
        response.add_post_render_callback(lambda rendered: emit(request, rendered, kwargs))
        return True

    def emit(request: HttpRequest, response: HttpResponseBase, kwargs: dict[str, Any]) -> None:
        with guard(event_type):
            keywords = wanted(request, response, kwargs)
            if keywords is not None:
                track(event_type, request=request, **keywords)

    def wanted(
        request: HttpRequest, response: HttpResponseBase, kwargs: dict[str, Any]
    ) -> dict[str, Any] | None:
        if not 200 <= response.status_code < 300:
            return None
        keywords = arguments(request, response, **kwargs)
        match = request.resolver_match
        if keywords is not None and template is not None and match is not None:
            # The page of the view would be the same, but not where only a method is decorated.
            keywords["page_id"] = fill(template, match)
        return keywords

    return decorate


def _from_response(source: Source, request: HttpRequest, response: Any, kwargs: Any) -> Any:
    if not isinstance(source, str):
        return _called("items", source, request, response, kwargs)
    if isinstance(response, SimpleTemplateResponse) and not hasattr(response, "context_data"):
        # Gone when a response is pickled: SimpleTemplateResponse.__getstate__().
        raise InvalidEventError(
            "items",
            f"the response came out of a cache, without {source!r} and the rest of its context",
            "Write @cache_page above this decorator, so that a cached page reports nothing, or "
            "pass a callable of request, response and the URL's keywords.",
        )
    context = getattr(response, "context_data", None) or {}
    if source not in context:
        raise InvalidEventError(
            "items",
            f"the response has no {source!r} in its context",
            "Return a TemplateResponse whose context has it, or pass a callable of request, "
            "response and the URL's keywords.",
        )
    return context[source]


def _from_query(source: Source, request: HttpRequest, response: Any, kwargs: Any) -> str | None:
    if isinstance(source, str):
        return request.GET.get(source)
    found = _called("search_query", source, request, response, kwargs)
    return None if found is None else str(found)


def _called(field: str, source: Any, request: HttpRequest, response: Any, kwargs: Any) -> Any:
    try:
        return source(request, response, **kwargs)
    except Exception as error:
        raise InvalidEventError(
            field,
            f"the decorator's callable failed with {type(error).__name__}",
            "Mend it; it gets request, response and what the URL captured.",
        ) from error
