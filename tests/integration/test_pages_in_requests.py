"""Page and referrer ids along a shopper's way, found without any stored state."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import AsyncClient, Client

from django_moloco_rmp.events import Event
from django_moloco_rmp.testing import capture_events
from tests.integration.visits import configured, event_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.integration.shopper_urls")]

SHOP = "http://testserver"


def pages(event: Event) -> tuple[str | None, str | None]:
    return event.page_id, event.referrer_page_id


def get(path: str, referer: str | None = None, **keywords: Any) -> tuple[str | None, str | None]:
    """Get a page and return its id, and that of its referrer."""
    headers = {} if referer is None else {"referer": referer}
    return pages(event_of(Client(), path, headers=headers, **keywords))


def post(path: str, referer: str | None = None) -> tuple[str | None, str | None]:
    headers = {} if referer is None else {"referer": referer}
    with capture_events() as events:
        assert Client().post(path, headers=headers).status_code == 200
    (event,) = events
    return pages(event)


WALK = [
    ("/", "HOME_PAGE"),
    ("/search/?q=lamp", "SEARCH_PAGE"),
    ("/c/lamps/?page=2", "CATEGORY_PAGE:lamps"),
    ("/p/lamp/#details", "PRODUCT_PAGE:lamp"),
    ("/about/", "ABOUT_PAGE"),
]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@configured(PAGES={"about": "ABOUT_PAGE"})
def test_a_walk_through_the_shop_is_a_chain_of_referrers(kind: type[Client]) -> None:
    visitor = kind()
    referer, came_from = "https://www.google.com/", "www.google.com"
    for path, page in WALK:
        event = event_of(visitor, path, headers={"referer": referer})
        assert pages(event) == (page, came_from)
        referer, came_from = f"{SHOP}{path}", page


def test_a_first_page_has_no_referrer() -> None:
    assert get("/") == ("HOME_PAGE", None)


def test_of_another_site_host_and_path_are_told() -> None:
    referer = "https://user:secret@Blog.Example:8443/lamps/?session=secret#secret"
    assert get("/", referer) == ("HOME_PAGE", "blog.example:8443/lamps/")


def test_a_page_without_a_name_counts_under_its_route_which_holds_no_token() -> None:
    assert get("/orders/secret/") == ("/orders/<str:token>/", None)
    assert get("/", f"{SHOP}/orders/secret/") == ("HOME_PAGE", "/orders/<str:token>/")


def test_what_the_url_configuration_does_not_know_counts_under_its_path() -> None:
    assert get("/", f"{SHOP}/static/lamp.html?v=2") == ("HOME_PAGE", "/static/lamp.html")


def test_an_endpoint_that_is_no_page_counts_as_the_page_it_was_called_from() -> None:
    assert post("/cart/add/", f"{SHOP}/p/lamp/") == ("PRODUCT_PAGE:lamp", None)


@pytest.mark.parametrize("referer", [None, "https://evil.example/p/lamp/", "junk"])
def test_an_endpoint_called_from_nowhere_in_the_shop_has_no_page(referer: str | None) -> None:
    assert post("/cart/add/", referer) == (None, None)


def test_a_page_that_takes_a_post_is_still_the_page() -> None:
    assert post("/wishlist/", f"{SHOP}/p/lamp/") == ("WISHLIST_PAGE", "PRODUCT_PAGE:lamp")


def test_a_host_that_is_not_the_shops_leaves_the_referrer_open() -> None:
    assert get("/", f"{SHOP}/p/lamp/", HTTP_HOST="not a host") == ("HOME_PAGE", None)
