"""Decorators for views: what is reported, and when nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.cache import cache
from django.test import AsyncClient, Client

from django_moloco_rmp import decorators
from django_moloco_rmp.decorators import (
    home,
    item_page_view,
    land,
    page,
    page_view,
    search,
    track_view,
)
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.testing import capture_events
from tests.integration import tracking_urls
from tests.integration.drops import dropped
from tests.integration.visits import configured, drop_reasons, event_of, events_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.tracking_urls")]

ELSEWHERE = {"referer": "https://www.example.org/ideas?q=1"}
INSIDE = {"referer": "http://testserver/c/lamps/"}


@pytest.fixture(params=[Client, AsyncClient])
def visitor(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.mark.parametrize(
    ("path", "event_type", "page_id"),
    [
        ("/", "HOME", "/"),
        ("/home/", "HOME", "HOME"),
        # What the URL captures may have any name.
        ("/home/text/", "HOME", "/home/<response>/"),
        ("/unnamed/", "PAGE_VIEW", "/unnamed/"),
        ("/c/lamps/", "PAGE_VIEW", "CATEGORY:lamps"),
        ("/c/stream/", "PAGE_VIEW", "CATEGORY:stream"),
        ("/c-async/lamps/", "PAGE_VIEW", "CATEGORY:lamps"),
        ("/c-async/stream/", "PAGE_VIEW", "CATEGORY:stream"),
        ("/search/?q=lamp", "SEARCH", "/search/"),
        ("/search/lamp/", "SEARCH", "RESULTS"),
        ("/p/lamp/", "ITEM_PAGE_VIEW", "PRODUCT:lamp"),
        ("/p-async/lamp/", "ITEM_PAGE_VIEW", "PRODUCT:lamp"),
        ("/p-callable/lamp/", "ITEM_PAGE_VIEW", "/p-callable/<slug>/"),
        ("/p-callable-async/lamp/", "ITEM_PAGE_VIEW", "/p-callable-async/<slug>/"),
        ("/class/7/", "PAGE_VIEW", "CLASS:7"),
        ("/method/7/", "PAGE_VIEW", "METHOD:7"),
        ("/method-async/7/", "PAGE_VIEW", "METHOD:7"),
        ("/method-named/7/", "HOME", "NAMED_METHOD:7"),
        ("/method-hidden/7/", "PAGE_VIEW", "HIDDEN:7"),
        ("/class-async/", "ITEM_PAGE_VIEW", "/class-async/"),
        ("/class-named/", "HOME", "NAMED_CLASS"),
        ("/wishlist/", "ADD_TO_WISHLIST", "/wishlist/"),
        ("/cart/", "ADD_TO_CART", "CART"),
        ("/search-by-track-view/?words=lamp", "SEARCH", "/search-by-track-view/"),
        ("/named/", "HOME", "NAMED"),
        ("/named-async/", "ADD_TO_CART", "NAMED_ASYNC"),
    ],
)
def test_a_success_is_reported_once(visitor: Any, path: str, event_type: str, page_id: str) -> None:
    path, _, query = path.partition("?")
    parameters = dict([query.split("=")]) if query else {}
    with configured(PAGES={}):
        event = event_of_path(visitor, path, parameters)
    assert (event.event_type, event.page_id) == (event_type, page_id)
    if event_type == "SEARCH":
        assert event.search_query == "lamp"
    if "lamp/" in path and event_type == "ITEM_PAGE_VIEW":
        assert [item.id for item in event.items] == ["lamp"]


@pytest.mark.parametrize(
    ("path", "page_id"), [("/method/7/", "METHOD:7"), ("/method-named/7/", "NAMED_METHOD:7")]
)
def test_a_page_that_a_method_names_is_the_referrer_of_the_next(
    client: Client, path: str, page_id: str
) -> None:
    headers = {"referer": f"http://testserver{path}"}
    assert event_of(client, "/c/lamps/", headers=headers).referrer_page_id == page_id


@pytest.mark.parametrize(
    ("path", "page_id"), [("/method/7/", "METHOD:7"), ("/method-named/7/", "NAMED_POST:7")]
)
def test_another_method_has_its_own_page_or_that_of_get(
    client: Client, path: str, page_id: str
) -> None:
    with capture_events() as events:
        assert client.post(path, headers=INSIDE).status_code == 200
    (event,) = events
    assert (event.page_id, event.referrer_page_id) == (page_id, "CATEGORY:lamps")


def event_of_path(visitor: Any, path: str, parameters: dict[str, str]) -> Any:
    return event_of(visitor, path, data=parameters) if parameters else event_of(visitor, path)


@configured(PAGES={"unnamed": "FROM_SETTINGS"})
def test_the_settings_name_a_page_that_its_decorator_does_not(client: Client) -> None:
    assert event_of(client, "/unnamed/").page_id == "FROM_SETTINGS"


def test_any_2xx_is_a_success(client: Client) -> None:
    with capture_events() as events:
        assert client.get("/c/created/").status_code == 201
    assert [event.page_id for event in events] == ["CATEGORY:created"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((f"/{kind}/gone/", 410) for kind in ("c", "c-async")),
        *((f"/{kind}/moved/", 302) for kind in ("c", "c-async")),
        *((f"/{kind}/missing/", 404) for kind in ("c", "c-async")),
        *((f"/{kind}/broken/", 500) for kind in ("c", "c-async")),
        *((f"/{kind}/raises/", 500) for kind in ("c", "c-async")),
        ("/gone-template/", 410),
        ("/failing-template/", 500),
        ("/failing-template-async/", 500),
    ],
)
def test_what_is_no_success_is_not_reported(visitor: Any, path: str, status: int) -> None:
    visitor.raise_request_exception = False
    with dropped() as drops, capture_events() as events:
        assert status_of(visitor, path) == status
    assert (events, drops.told, drops.records) == ([], [], [])


def status_of(visitor: Any, path: str) -> int:
    get = async_to_sync(visitor.get) if isinstance(visitor, AsyncClient) else visitor.get
    return int(get(path).status_code)


@pytest.mark.parametrize("path", ["/search/", "/no-results/"])
def test_a_search_for_nothing_is_not_reported(client: Client, path: str) -> None:
    assert events_of(client, path, data={"q": "  "}) == []


@pytest.mark.parametrize("path", ["/land/", "/land-async/"])
def test_only_an_arrival_from_elsewhere_is_a_landing(visitor: Any, path: str) -> None:
    assert events_of(visitor, path) == []
    assert events_of(visitor, path, headers=INSIDE) == []
    event = event_of(visitor, path, headers=ELSEWHERE)
    assert (event.event_type, event.referrer_page_id) == ("LAND", "www.example.org/ideas")


@pytest.mark.parametrize(
    "path", ["/p-no-context/", "/p-not-in-context/", "/p-broken/", "/p-broken-async/"]
)
def test_a_fault_in_finding_the_item_does_not_break_the_page(
    visitor: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with configured(RAISE_ERRORS=False), drop_reasons() as reasons:
        assert events_of(visitor, path) == []
    assert reasons == ["invalid"]
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("Event dropped (ITEM_PAGE_VIEW, invalid): items: ")


def test_while_developing_a_fault_in_finding_the_item_is_an_error(client: Client) -> None:
    with pytest.raises(InvalidEventError, match="failed with RuntimeError") as refused:
        client.get("/p-broken/")
    assert str(refused.value.__cause__) == "of the shop's own"
    with pytest.raises(InvalidEventError, match="no 'product' in its context"):
        client.get("/p-not-in-context/")


@pytest.fixture
def page_cache() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.mark.usefixtures("page_cache")
def test_a_page_out_of_the_cache_is_reported_by_the_callable_or_not_at_all(client: Client) -> None:
    cached, quiet = "/p-cached/lamp/", "/p-cached-and-quiet/lamp/"
    for path, count in ((cached, 1), (cached, 1), (quiet, 1), (quiet, 0)):
        assert len(events_of(client, path)) == count


@pytest.mark.usefixtures("page_cache")
def test_a_page_out_of_the_cache_without_its_context_says_how_to_mend_it(client: Client) -> None:
    path = "/p-cached-and-lost/lamp/"
    assert len(events_of(client, path)) == 1
    with pytest.raises(InvalidEventError, match="came out of a cache") as caught:
        client.get(path)
    assert "@cache_page above this decorator" in caught.value.fix
    with configured(RAISE_ERRORS=False), dropped() as drops:
        assert events_of(client, path) == []
    assert [reason for _, reason, _ in drops.told] == ["invalid"]


def test_a_fault_in_finding_the_query_does_not_break_the_page(client: Client) -> None:
    with configured(RAISE_ERRORS=False), dropped() as drops:
        assert events_of(client, "/search-by-broken-callable/") == []
    ((sender, reason, detail),) = drops.told
    assert (sender, reason) == ("SEARCH", "invalid")
    assert detail.startswith("search_query: the decorator's callable failed with RuntimeError.")


@pytest.mark.parametrize("name", ["product", "product_async", "named", "category", "plain_home"])
def test_a_decorated_view_is_still_itself(name: str) -> None:
    view = getattr(tracking_urls, name)
    assert view.__name__ == name
    assert view.__module__ == tracking_urls.__name__
    assert iscoroutinefunction(view) is name.endswith("_async")


def test_what_other_decorators_say_of_a_view_is_still_said() -> None:
    assert tracking_urls.named.csrf_exempt is True
    assert tracking_urls.NamedClass.as_view().csrf_exempt is True
    assert iscoroutinefunction(tracking_urls.NamedClass.as_view())


def test_the_decorators_are_all_that_the_module_offers() -> None:
    assert decorators.__all__ == sorted(decorators.__all__)
    offered = {name for name, value in vars(decorators).items() if name in decorators.__all__}
    assert offered == {
        *("home", "item_page_view", "land", "page", "page_view", "search", "track_view"),
    }


@pytest.mark.parametrize("decorator", [page, home, land, page_view, search])
def test_a_page_has_to_be_a_text(decorator: Any) -> None:
    with pytest.raises(TypeError, match="takes the page's id as a text"):
        decorator(7)


def test_a_decorator_without_what_it_needs_is_an_error_at_import() -> None:
    def view(request: Any) -> None: ...

    with pytest.raises(TypeError, match=r"write @page\('CATEGORY:\{slug\}'\)"):
        page(view)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'item'"):
        item_page_view(view)  # type: ignore[call-arg,arg-type]
    with pytest.raises(ValueError, match="is not a valid EventType"):
        track_view(view)  # type: ignore[arg-type]


def test_a_page_has_to_be_a_text_for_those_with_options_too() -> None:
    with pytest.raises(TypeError, match="@item_page_view takes the page's id as a text"):
        item_page_view(7, item="product")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="BUY"):
        track_view("BUY")
