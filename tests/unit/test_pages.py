from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.urls import Resolver404, ResolverMatch, URLResolver, resolve
from django.urls.resolvers import RegexPattern
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp import pages
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.pages import (
    MAX_REFERER_LENGTH,
    PAGE_ATTRIBUTE,
    current_page,
    external_referrer,
    page_of,
    referrer_page,
    route_of,
)
from tests.strategies import any_text
from tests.unit import pages_urls

I18N = "tests.unit.pages_urls_i18n"
I18N_ALL = "tests.unit.pages_urls_i18n_all"
SHOP = "https://shop.example"
PAGES = {
    "search": "SEARCH",
    "mine:order": "ORDER",
    "mine:wishlist": "never used: the decorator wins",
    "tests.unit.pages_urls.PlainView": "never used: the view has a URL name",
}


@pytest.fixture(autouse=True, scope="module")
def shop() -> Iterator[None]:
    with override_settings(
        ROOT_URLCONF="tests.unit.pages_urls",
        ALLOWED_HOSTS=["shop.example", "shop.example.", "[::1]"],
        LANGUAGE_CODE="en",
        LANGUAGES=[("en", "English"), ("de", "German"), ("pt-br", "Brazilian Portuguese")],
    ):
        yield


def visit(
    path: str,
    referer: str | None = None,
    *,
    method: str = "GET",
    urlconf: str | None = None,
    host: str = "shop.example",
    **extra: Any,
) -> HttpRequest:
    """A request as a view gets it."""
    if referer is not None:
        extra["HTTP_REFERER"] = referer
    request = RequestFactory(HTTP_HOST=host).generic(method, path, **extra)
    if urlconf is not None:
        request.urlconf = urlconf
    try:
        request.resolver_match = resolve(request.path_info, urlconf)
    except Resolver404:
        request.resolver_match = None
    return request


def post(path: str, referer: str | None = None, **extra: Any) -> HttpRequest:
    return visit(path, referer, method="POST", **extra)


@pytest.mark.parametrize(
    ("path", "page"),
    [
        pytest.param("/", "HOME", id="function, through another decorator"),
        pytest.param("/cart/", "CART", id="class"),
        pytest.param("/cart/saved/", "CART", id="class that inherits dispatch"),
        pytest.param("/cart/gift/", None, id="class with a dispatch of its own"),
        pytest.param("/about/", None, id="class without a page"),
        pytest.param("/p/red-shoe/", "PRODUCT:red-shoe", id="named group"),
        pytest.param("/caf%C3%A9/%C3%A9t%C3%A9/", "PRODUCT:été", id="not ASCII"),
        pytest.param("/caf%C3%A9/%7B0%7D/", "PRODUCT:{0}", id="braces in the URL"),
        pytest.param("/c/shoes/", "CATEGORY:shoes", id="attribute of a converted value"),
        pytest.param("/y/2026/", "YEAR:002026", id="format of a converted value"),
        pytest.param("/m/2026/11/", "MONTH:2026-11", id="groups without names"),
        pytest.param("/sale/", "PRODUCT:sale", id="default of the URL pattern"),
        pytest.param("/search/", "SEARCH", id="setting"),
        pytest.param("/a/orders/secret/", "ORDER", id="setting with namespace"),
        pytest.param("/b/orders/secret/", None, id="same view in another namespace"),
        pytest.param("/a/wishlist/", "WISHLIST", id="class, decorated in the URLconf"),
    ],
)
def test_page_of(path: str, page: str | None) -> None:
    match = visit(path).resolver_match
    assert (match and page_of(match, PAGES)) == page


def test_setting_for_a_view_without_url_name() -> None:
    match = resolve("/cart/gift/")
    assert page_of(match, {"tests.unit.pages_urls.GiftView": "GIFT"}) == "GIFT"


def test_attribute_is_the_one_decorators_set() -> None:
    assert getattr(pages_urls.product, PAGE_ATTRIBUTE) == "PRODUCT:{slug}"


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/broken/red-shoe/", "BROKEN:{id}"),
        ("/broken/", "BROKEN:{id}"),
        ("/malformed/", "BRACES:{"),
        ("/no-attribute/red-shoe/", "ATTRIBUTE:{slug.pk}"),
        ("/no-index/red-shoe/", "INDEX:{slug[key]}"),
        ("/no-argument/", "ARGUMENT:{0}"),
    ],
)
def test_template_that_cannot_be_filled_in(path: str, template: str) -> None:
    with pytest.raises(InvalidEventError) as caught:
        current_page(visit(path), PAGES)
    assert caught.value.field == "page_id"
    assert template in caught.value.rule
    assert "default" in caught.value.fix
    assert "red-shoe" not in str(caught.value)


def test_error_names_view_and_captured_names() -> None:
    with pytest.raises(InvalidEventError, match=r"'broken'.*captures slug"):
        page_of(resolve("/broken/red-shoe/"), {})
    with pytest.raises(InvalidEventError, match=r"pages_urls\.broken.*captures nothing"):
        page_of(resolve("/broken/"), {})


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/a/orders/secret/", "/a/orders/<str:token>/"),
        ("/news/secret/", r"/^news/(?P<token>\w+)/$"),
    ],
)
def test_route_holds_nothing_of_the_url(path: str, route: str) -> None:
    assert route_of(resolve(path)) == route


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/p/red-shoe/", "PRODUCT:red-shoe"),
        ("/about/", "/about/"),
        ("/b/orders/secret/", "/b/orders/<str:token>/"),
        ("/p/red-shoe/?a=b", "PRODUCT:red-shoe"),
        ("/nowhere/", None),
    ],
)
def test_current_page(method: str, path: str, page: str | None) -> None:
    assert current_page(visit(path, f"{SHOP}/cart/", method=method), PAGES) == page


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_endpoint_is_on_the_page_it_was_called_from(method: str) -> None:
    request = visit("/cart/add/1/", f"{SHOP}/p/red-shoe/?size=9#top", method=method)
    assert current_page(request, PAGES) == "PRODUCT:red-shoe"


@pytest.mark.parametrize(
    "referer",
    [None, "", "https://google.com/", "garbage", "https://shop.example.evil.example/p/x/"],
)
def test_endpoint_called_from_nowhere_known(referer: str | None) -> None:
    assert current_page(post("/cart/add/1/", referer), PAGES) is None


def test_endpoint_called_from_a_page_without_name() -> None:
    request = post("/cart/add/1/", f"{SHOP}/b/orders/secret/")
    assert current_page(request, PAGES) == "/b/orders/<str:token>/"


def test_endpoint_with_a_name_is_a_page() -> None:
    assert current_page(post("/cart/", f"{SHOP}/p/red-shoe/"), PAGES) == "CART"


def test_post_to_nowhere() -> None:
    request = post("/nowhere/", f"{SHOP}/p/red-shoe/")
    assert current_page(request, PAGES) is None
    assert referrer_page(request, PAGES) is None


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        pytest.param(f"{SHOP}/p/red-shoe/", "PRODUCT:red-shoe", id="page"),
        pytest.param(f"{SHOP}/p/red-shoe/?q=secret#x", "PRODUCT:red-shoe", id="query"),
        pytest.param(SHOP, "HOME", id="no path"),
        pytest.param(f"{SHOP}?a=b", "HOME", id="no path but a query"),
        pytest.param(f"{SHOP}/", "HOME", id="root"),
        pytest.param("http://shop.example/", "HOME", id="other scheme"),
        pytest.param("HTTPS://Shop.Example/search/", "SEARCH", id="case of the host"),
        pytest.param("https://shop.example:443/", "HOME", id="default port"),
        pytest.param("https://shop.example:/", "HOME", id="empty port"),
        pytest.param("https://user:secret@shop.example/", "HOME", id="user name"),
        pytest.param(f"  {SHOP}/ ", "HOME", id="space around it"),
        pytest.param(f"{SHOP}/caf%C3%A9/%C3%A9t%C3%A9/", "PRODUCT:été", id="not ASCII"),
        pytest.param(f"{SHOP}/a/orders/secret/", "ORDER", id="setting"),
        pytest.param(f"{SHOP}/b/orders/secret/", "/b/orders/<str:token>/", id="no name"),
        pytest.param(f"{SHOP}/c/closed/", "/c/closed/", id="refused by its converter"),
        pytest.param(f"{SHOP}/no%2Fwhere?q=secret", "/no%2Fwhere", id="not in the URLconf"),
        pytest.param(f"{SHOP}//p/red-shoe/", "//p/red-shoe/", id="two slashes"),
        pytest.param(f"{SHOP}/%00%ff", "/%00%ff", id="broken bytes"),
    ],
)
def test_referrer_within_the_shop(referer: str, page: str) -> None:
    request = visit("/cart/", referer)
    assert referrer_page(request, PAGES) == page
    assert external_referrer(request) is None


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        pytest.param("https://google.com", "google.com", id="host"),
        pytest.param("https://google.com/", "google.com", id="root"),
        pytest.param("https://google.com?q=secret", "google.com", id="host and query"),
        pytest.param("https://google.com/?q=secret#x", "google.com", id="root and query"),
        pytest.param("https://Blog.Example/Shoes/?q=x", "blog.example/Shoes/", id="path"),
        pytest.param("http://blog.example:8080/a", "blog.example:8080/a", id="port"),
        pytest.param("https://user:secret@blog.example/a", "blog.example/a", id="user name"),
        pytest.param("https://www.shop.example/", "www.shop.example", id="subdomain"),
        pytest.param("https://shop.example:8443/", "shop.example:8443", id="shop's other port"),
        pytest.param("https://shop.example.evil.example/", "shop.example.evil.example", id="alike"),
        pytest.param("https://shop.example@evil.example/", "evil.example", id="disguised"),
        pytest.param("https://203.0.113.7/x", "203.0.113.7/x", id="ipv4"),
        pytest.param("https://[2001:DB8::7]:81/x", "[2001:db8::7]:81/x", id="ipv6"),
        pytest.param("https://blog.example/%0d%0a", "blog.example/%0d%0a", id="escaped control"),
    ],
)
def test_referrer_from_outside(referer: str, page: str) -> None:
    request = visit("/p/red-shoe/", referer)
    assert referrer_page(request, PAGES) == page
    assert external_referrer(request) == page


@pytest.mark.parametrize(
    "referer",
    [
        None,
        "",
        " ",
        "/p/red-shoe/",
        "//blog.example/x",
        "blog.example/x",
        "about:blank",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://blog.example/x",
        "android-app://com.google.android.gm/",
        "https://",
        "https:///x",
        "https://:443/x",
        "https://?q",
        "https:blog.example",
        "https://blog.example:port/",
        "https://blog.example:99999/",
        "https://blog.example:-1/",
        "https://[::1/x",
        "https://[x]/",
        "https://[fe80::1%25eth0]/",
        "https://blog example/",
        "https://blog<script>.example/",
        "https://blög.example/",
        "https://blog\u2100.example/",
        "https://" + "a" * 254 + "/x",
        "https://blog.example/\r\nX-Header: x",
        "https://blog.example/\x00",
        "https://blog.example/\x85",
        "https://blog.example/\udcff",
        "https\t://blog.example/",
        "h" * 100_000,
    ],
)
def test_garbage_is_no_referrer(referer: str | None) -> None:
    request = visit("/p/red-shoe/", referer)
    assert referrer_page(request, PAGES) is None
    assert external_referrer(request) is None


def test_long_referrer_is_cut() -> None:
    site = "blog.example/"
    page = referrer_page(visit("/", f"https://{site}{'x' * 100_000}"), PAGES)
    assert page == site + "x" * (MAX_REFERER_LENGTH - len("https://") - len(site))


def test_long_query_does_not_matter() -> None:
    request = visit("/", f"{SHOP}/p/red-shoe/?q={'x' * 100_000}\x00")
    assert referrer_page(request, PAGES) == "PRODUCT:red-shoe"


@given(
    any_text
    | any_text.map(lambda rest: f"{SHOP}/{rest}")
    | any_text.map(lambda rest: f"https://{rest}")
    | any_text.map(lambda rest: f"https://blog.example:{rest}")
)
def test_any_referrer_is_safe(referer: str) -> None:
    request = visit("/", referer)
    for page in (referrer_page(request, PAGES), external_referrer(request)):
        if page is not None:
            assert page.isprintable()
            assert len(page) <= MAX_REFERER_LENGTH


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=50))
def test_query_and_fragment_never_get_out(secret: str) -> None:
    for mark in "?#":
        request = visit("/", f"https://blog.example/x{mark}{secret}")
        assert referrer_page(request, PAGES) in {"blog.example/x", None}


def test_endpoint_has_no_referrer_but_its_page() -> None:
    request = post("/cart/add/1/", f"{SHOP}/p/red-shoe/")
    assert referrer_page(request, PAGES) is None


def test_endpoint_called_from_outside_has_no_referrer() -> None:
    assert referrer_page(post("/cart/add/1/", "https://google.com/"), PAGES) is None


def test_named_endpoint_has_a_referrer() -> None:
    assert referrer_page(post("/cart/", f"{SHOP}/p/red-shoe/"), PAGES) == "PRODUCT:red-shoe"


def test_missing_page_has_a_referrer() -> None:
    assert referrer_page(visit("/nowhere/", "https://google.com/"), PAGES) == "google.com"


def test_broken_template_of_the_page_before_costs_its_name_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = f"{SHOP}/before/red-shoe/"
    for _ in range(2):
        assert referrer_page(visit("/", before), PAGES) == "/before/<slug:slug>/"
        assert current_page(post("/cart/add/7/", before), PAGES) == "/before/<slug:slug>/"
    (record,) = caplog.records
    assert "'BEFORE:{id}'" in record.getMessage()
    assert "red-shoe" not in record.getMessage()


@pytest.mark.parametrize("host", ["evil.example", "shop.example\x00", "", "a b"])
def test_nothing_is_known_of_a_referrer_when_the_host_is_forged(host: str) -> None:
    request = visit("/p/red-shoe/", f"{SHOP}/cart/", host=host)
    assert referrer_page(request, PAGES) is None
    assert external_referrer(request) is None
    assert current_page(request, PAGES) == "PRODUCT:red-shoe"


def test_endpoint_of_a_forged_host() -> None:
    request = post("/cart/add/1/", "https://evil.example/p/x/", host="evil.example")
    assert current_page(request, PAGES) is None


@pytest.mark.parametrize(
    ("host", "referer"),
    [
        ("shop.example:8000", "http://shop.example:8000/cart/"),
        ("shop.example:443", "https://shop.example/cart/"),
        ("SHOP.example", "https://shop.example/cart/"),
        ("shop.example.", "https://shop.example./cart/"),
        ("[::1]:8000", "http://[::1]:8000/cart/"),
        ("[::1]", "http://[::1]/cart/"),
    ],
)
def test_host_of_the_shop(host: str, referer: str) -> None:
    assert referrer_page(visit("/", referer, host=host), PAGES) == "CART"


def test_other_port_is_another_site() -> None:
    request = visit("/", "http://shop.example:8001/cart/", host="shop.example:8000")
    assert external_referrer(request) == "shop.example:8001/cart/"


def test_host_that_a_trusted_proxy_forwards() -> None:
    request = visit("/", f"{SHOP}/cart/", host="app:8000", HTTP_X_FORWARDED_HOST="shop.example")
    with override_settings(USE_X_FORWARDED_HOST=True):
        assert referrer_page(request, PAGES) == "CART"


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        pytest.param(f"{SHOP}/shop/p/red-shoe/", "PRODUCT:red-shoe", id="page"),
        pytest.param(f"{SHOP}/sh%6Fp/p/red-shoe/", "PRODUCT:red-shoe", id="escaped prefix"),
        pytest.param(f"{SHOP}/shop/", "HOME", id="home"),
        pytest.param(f"{SHOP}/shop", "HOME", id="home without a slash"),
        pytest.param(f"{SHOP}/shop/nowhere", "/shop/nowhere", id="not in the URLconf"),
        pytest.param(f"{SHOP}/p/red-shoe/", "/p/red-shoe/", id="another site on the host"),
        pytest.param(f"{SHOP}/shopping/", "/shopping/", id="another site, alike"),
        pytest.param(SHOP, "/", id="root of another site"),
    ],
)
@pytest.mark.parametrize("script_name", ["/shop", "/shop/"])
def test_script_prefix(script_name: str, referer: str, page: str) -> None:
    assert referrer_page(visit("/cart/", referer, SCRIPT_NAME=script_name), PAGES) == page


def test_urlconf_of_the_request() -> None:
    request = visit("/plain/", f"{SHOP}/cart/", urlconf=I18N)
    assert referrer_page(request, PAGES) == "/cart/"


def test_urlconf_of_the_request_that_is_reset() -> None:
    request = visit("/cart/", f"{SHOP}/p/red-shoe/")
    request.urlconf = None
    assert referrer_page(request, PAGES) == "PRODUCT:red-shoe"


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    ("urlconf", "path", "page"),
    [
        (I18N, "/p/x/", "PRODUCT:x"),
        (I18N, "/de/p/x/", "PRODUCT:x"),
        (I18N, "/pt-br/p/x/", "PRODUCT:x"),
        (I18N, "/de/", "HOME"),
        (I18N, "/plain/", "/plain/"),
        (I18N, "/de/plain/", "/de/plain/"),
        (I18N, "/fr/p/x/", "/fr/p/x/"),
        (I18N, "/de/nowhere/", "/de/nowhere/"),
        (I18N_ALL, "/en/p/x/", "PRODUCT:x"),
        (I18N_ALL, "/de/p/x/", "PRODUCT:x"),
        (I18N_ALL, "/de/plain/", "/de/plain/"),
        (I18N_ALL, "/p/x/", "/p/x/"),
    ],
)
def test_referrer_in_any_language(language: str, urlconf: str, path: str, page: str) -> None:
    with override_settings(ROOT_URLCONF=urlconf), translation.override(language):
        request = visit("/cart/add/", f"{SHOP}{path}")
        assert referrer_page(request, PAGES) == page
        assert translation.get_language() == language


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths that were resolved anew, in a shop whose converters are all Django's."""
    paths: list[str] = []
    resolve_anew = URLResolver.resolve

    def noting(self: URLResolver, path: str) -> ResolverMatch:
        if isinstance(self.pattern, RegexPattern):
            paths.append(path)
        return resolve_anew(self, path)

    monkeypatch.setattr(URLResolver, "resolve", noting)
    monkeypatch.setattr(pages, "REGISTERED_CONVERTERS", {})
    pages._resolve_once.cache_clear()
    yield paths
    pages._resolve_once.cache_clear()


def came_from(path: str, **extra: Any) -> str | None:
    request = RequestFactory(HTTP_HOST="shop.example").get("/", HTTP_REFERER=SHOP + path, **extra)
    request.resolver_match = None
    return referrer_page(request, PAGES)


def test_referrer_is_resolved_once(resolved: list[str]) -> None:
    assert came_from("/news/a/") == came_from("/news/a/") == "/^news/(?P<token>\\w+)/$"
    assert resolved == ["/news/a/"]


def test_referrer_that_is_no_page_is_not_remembered(resolved: list[str]) -> None:
    assert came_from("/made/up") == came_from("/made/up") == "/made/up"
    assert resolved == ["/made/up"] * 2


def test_long_referrer_is_not_remembered(resolved: list[str]) -> None:
    path = f"/news/{'a' * pages.MAX_KNOWN_PATH_LENGTH}/"
    assert came_from(path) == came_from(path) is not None
    assert resolved == [path] * 2


def test_remembered_referrers_are_bounded(resolved: list[str]) -> None:
    for number in range(pages.MAX_KNOWN_PATHS + 10):
        came_from(f"/news/{number}/")
    assert pages._resolve_once.cache_info().currsize == pages.MAX_KNOWN_PATHS


def test_own_converter_is_asked_each_time(
    resolved: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "REGISTERED_CONVERTERS", {"category": object()})
    assert came_from("/news/a/") == came_from("/news/a/")
    assert resolved == ["/news/a/"] * 2


def test_remembered_referrer_is_of_one_urlconf(resolved: list[str]) -> None:
    known = came_from("/news/a/")
    with override_settings(ROOT_URLCONF=I18N):
        assert came_from("/news/a/") == "/news/a/"
    assert came_from("/news/a/") == known


def test_remembered_referrer_is_of_one_language(resolved: list[str]) -> None:
    with translation.override("en"):
        assert pages._resolve_known(I18N, "/p/x/").kwargs == {"slug": "x"}
    with translation.override("de"), pytest.raises(Resolver404):
        pages._resolve_known(I18N, "/p/x/")
