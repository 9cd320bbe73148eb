"""URLs of a shop for test_pages: each kind of view and of route that can be a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path, re_path, register_converter
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache

from django_moloco_rmp.pages import PAGE_ATTRIBUTE


class Category:
    """What a converter may make of a part of the URL."""

    def __init__(self, slug: str) -> None:
        self.slug = slug

    def __str__(self) -> str:
        return f"<{self.slug}>"


class CategoryConverter:
    regex = "[a-z]+"

    def to_python(self, value: str) -> Category:
        if value == "closed":
            raise ValueError
        return Category(value)

    def to_url(self, value: Category) -> str:
        return value.slug


register_converter(CategoryConverter, "category")


def page(template: str) -> Callable[[Any], Any]:
    """As the decorators of the package do it: leave the template on the view."""

    def decorate(view: Any) -> Any:
        setattr(view, PAGE_ATTRIBUTE, template)
        return view

    return decorate


def plain(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
    return HttpResponse()


@never_cache
@page("HOME")
def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@page("PRODUCT:{slug}")
def product(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse()


@page("CATEGORY:{category.slug}")
def category(request: HttpRequest, category: Category) -> HttpResponse:
    return HttpResponse()


@page("YEAR:{year:06d}")
def year(request: HttpRequest, year: int) -> HttpResponse:
    return HttpResponse()


@page("MONTH:{0}-{1}")
def month(request: HttpRequest, year: str, month: str) -> HttpResponse:
    return HttpResponse()


@page("BROKEN:{id}")
def broken(request: HttpRequest, slug: str = "") -> HttpResponse:
    return HttpResponse()


@page("BEFORE:{id}")
def before(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse()


@page("BRACES:{")
def malformed(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@page("ATTRIBUTE:{slug.pk}")
def no_attribute(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse()


@page("INDEX:{slug[key]}")
def no_index(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse()


@page("ARGUMENT:{0}")
def no_argument(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@method_decorator(page("CART"), name="dispatch")
class CartView(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


class SavedCartView(CartView):
    """Has the dispatch of its parent, and thereby its page."""


class GiftView(CartView):
    """Has a dispatch of its own, and thereby no page."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)


class PlainView(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


account_patterns: list[URLPattern | URLResolver] = [
    path("", plain, name="index"),
    path("orders/<str:token>/", plain, name="order"),
    path("wishlist/", page("WISHLIST")(PlainView.as_view()), name="wishlist"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home),
    path("cart/", CartView.as_view(), name="cart"),
    path("cart/saved/", SavedCartView.as_view()),
    path("cart/gift/", GiftView.as_view()),
    path("cart/add/<int:pk>/", plain, name="cart-add"),
    path("about/", PlainView.as_view(), name="about"),
    path("p/<slug:slug>/", product, name="product"),
    path("café/<str:slug>/", product),
    path("c/<category:category>/", category),
    path("y/<int:year>/", year),
    re_path(r"^m/([0-9]{4})/([0-9]{2})/$", month),
    re_path(r"^news/(?P<token>\w+)/$", plain),
    path("sale/", product, {"slug": "sale"}),
    path("search/", plain, name="search"),
    path("a/", include((account_patterns, "account"), namespace="mine")),
    path("b/", include((account_patterns, "account"), namespace="theirs")),
    path("broken/<slug:slug>/", broken, name="broken"),
    path("broken/", broken),
    path("before/<slug:slug>/", before),
    path("malformed/", malformed),
    path("no-attribute/<slug:slug>/", no_attribute),
    path("no-index/<slug:slug>/", no_index),
    path("no-argument/", no_argument),
]
