"""A shop for the tests of reporting: a view for each door, sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_page
from django.views.decorators.csrf import csrf_exempt

from django_moloco_rmp import EventType, Item, Money, atrack, track
from django_moloco_rmp.decorators import (
    home,
    item_page_view,
    land,
    page,
    page_view,
    search,
    track_view,
)
from django_moloco_rmp.signals import added_to_cart

LAMP = Item("lamp", price=Money("19.90", "EUR"), quantity=2)


def template(source: str) -> Any:
    return engines["django"].from_string("{% load moloco_rmp %}" + source)


def product_of(request: HttpRequest, response: Any, slug: str) -> Item:
    return Item(slug)


def broken(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("of the shop's own")


@home
def plain_home(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@home()
def called_home(request: HttpRequest, response: str) -> HttpResponse:
    return HttpResponse(response)


@home("HOME")
async def named_home(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@land
def landing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@land("LANDING")
async def landing_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@search
def results(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@search("RESULTS", query=lambda request, response, words: words)
async def results_of(request: HttpRequest, words: str) -> HttpResponse:
    return HttpResponse()


@search(query=lambda request, response: None)
def no_results(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@page_view
def unnamed(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def listing(slug: str) -> HttpResponseBase:
    kinds: dict[str, HttpResponseBase] = {
        "gone": HttpResponse(status=410),
        "moved": HttpResponseRedirect("/"),
        "stream": StreamingHttpResponse(iter([b"a", b"b"])),
        "created": HttpResponse(status=201),
        "broken": HttpResponse(status=500),
    }
    if slug == "missing":
        raise Http404
    return broken() if slug == "raises" else kinds.get(slug, HttpResponse())


@page_view("CATEGORY:{slug}")
def category(request: HttpRequest, slug: str) -> HttpResponseBase:
    return listing(slug)


@page_view("CATEGORY:{slug}")
async def category_async(request: HttpRequest, slug: str) -> HttpResponseBase:
    return listing(slug)


@page_view("FAILING")
def failing_template(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, template("{{ fail }}"), {"fail": broken})


@page_view("FAILING")
async def failing_template_async(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, template("{{ fail }}"), {"fail": broken})


@page_view("GONE")
def gone_template(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, template("gone"), status=410)


@item_page_view("PRODUCT:{slug}", item="product")
def product(request: HttpRequest, slug: str) -> HttpResponse:
    return TemplateResponse(request, template("{{ product.id }}"), {"product": Item(slug)})


@item_page_view("PRODUCT:{slug}", item="product")
async def product_async(request: HttpRequest, slug: str) -> HttpResponse:
    return TemplateResponse(request, template("{{ product.id }}"), {"product": Item(slug)})


@item_page_view(item=product_of)
def product_by_callable(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse()


@item_page_view(item=product_of)
async def product_by_callable_async(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse()


@item_page_view(item="product")
def product_without_context(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@item_page_view(item="product")
def product_not_in_context(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, template(""), {"lamp": LAMP})


def cacheable(request: HttpRequest, slug: str) -> HttpResponse:
    return TemplateResponse(request, template("{{ product.id }}"), {"product": Item(slug)})


reported_out_of_the_cache = item_page_view(item=product_of)(cache_page(60)(cacheable))
lost_out_of_the_cache = item_page_view(item="product")(cache_page(60)(cacheable))
quiet_out_of_the_cache = cache_page(60)(item_page_view(item="product")(cacheable))


@item_page_view(item=broken)
def product_of_broken_callable(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@item_page_view(item=broken)
async def product_of_broken_callable_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@method_decorator(page_view("CLASS:{number}"), name="dispatch")
class ByClass(View):
    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        return HttpResponse()


class ByMethod(View):
    """Decorated where other decorators of methods would be."""

    @method_decorator(page_view("METHOD:{number}"))
    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        return HttpResponse()

    @method_decorator(csrf_exempt)
    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        track("ADD_TO_CART", LAMP)
        return HttpResponse()


class ByAsyncMethod(View):
    @method_decorator(page_view("METHOD:{number}"))
    async def get(self, request: HttpRequest, number: int) -> HttpResponse:
        return HttpResponse()


class NamedByMethod(View):
    @method_decorator(page("NAMED_METHOD:{number}"))
    def get(self, request: HttpRequest, number: int) -> HttpResponse:
        track("HOME")
        return HttpResponse()

    @method_decorator(page("NAMED_POST:{number}"))
    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        track("ADD_TO_CART", LAMP)
        return HttpResponse()


class OfAnotherFramework:
    """Views that do not say which class they are of."""

    @method_decorator(page_view("HIDDEN:{number}"))
    def list(self, request: HttpRequest, number: int) -> HttpResponse:
        return HttpResponse()


def hidden_class(request: HttpRequest, number: int) -> HttpResponse:
    return OfAnotherFramework().list(request, number=number)


@method_decorator(page("NAMED_CLASS"), name="dispatch")
@method_decorator(csrf_exempt, name="dispatch")
class NamedClass(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        await atrack("HOME")
        return HttpResponse()


@method_decorator(item_page_view(item=lambda request, response: LAMP), name="dispatch")
class ByAsyncClass(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


@track_view(EventType.ADD_TO_CART, "CART", items=lambda request, response: [LAMP])
def cart(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@track_view("ADD_TO_WISHLIST", items="lines")
def wishlist(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, template(""), {"lines": [LAMP, LAMP]})


@track_view("SEARCH", search_query=broken)
def search_by_broken_callable(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@track_view("SEARCH", search_query="words")
def search_by_track_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@page("NAMED")
@csrf_exempt
def named(request: HttpRequest) -> HttpResponse:
    track("HOME")
    return HttpResponse()


@page("NAMED_ASYNC")
async def named_async(request: HttpRequest) -> HttpResponse:
    await added_to_cart.asend(None, items=LAMP, request=request)
    return HttpResponse()


def tag(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, template(request.GET["tag"]), {"lamp": LAMP})


async def tag_async(request: HttpRequest) -> HttpResponse:
    text = template(request.GET["tag"]).render({"lamp": LAMP}, request)
    return HttpResponse(text)


def tag_without_request(request: HttpRequest) -> HttpResponse:
    return HttpResponse(template(request.GET["tag"]).render({"lamp": LAMP}))


async def tag_without_request_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse(template(request.GET["tag"]).render({"lamp": LAMP}))


async def tag_streamed(request: HttpRequest) -> HttpResponseBase:
    async def pieces() -> AsyncIterator[str]:
        yield "<p>"
        yield template(request.GET["tag"]).render({}, request)

    return StreamingHttpResponse(pieces())


def report(request: HttpRequest) -> HttpResponse:
    # A test can put any object into the WSGI environ.
    return HttpResponse(track(**request.META["report"]) or "")


async def report_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse(await atrack(**request.META["report"]) or "")


async def sync_track_in_the_loop(request: HttpRequest) -> HttpResponse:
    track("ADD_TO_CART", LAMP)
    return HttpResponse("served")


def order_that_fails(request: HttpRequest) -> HttpResponse:
    track("PURCHASE", LAMP, event_id="never")
    raise RuntimeError("the payment was declined")


def order(request: HttpRequest) -> HttpResponse:
    track("PURCHASE", LAMP, event_id="order-1")
    return HttpResponse()


urlpatterns: list[URLPattern | URLResolver] = [
    path("", plain_home),
    path("home/", named_home),
    path("home/<response>/", called_home),
    path("land/", landing),
    path("land-async/", landing_async),
    path("search/", results),
    path("search/<words>/", results_of),
    path("no-results/", no_results),
    path("unnamed/", unnamed, name="unnamed"),
    path("c/<slug>/", category),
    path("c-async/<slug>/", category_async),
    path("failing-template/", failing_template),
    path("failing-template-async/", failing_template_async),
    path("gone-template/", gone_template),
    path("p/<slug>/", product),
    path("p-async/<slug>/", product_async),
    path("p-callable/<slug>/", product_by_callable),
    path("p-callable-async/<slug>/", product_by_callable_async),
    path("p-no-context/", product_without_context),
    path("p-not-in-context/", product_not_in_context),
    path("p-cached/<slug>/", reported_out_of_the_cache),
    path("p-cached-and-lost/<slug>/", lost_out_of_the_cache),
    path("p-cached-and-quiet/<slug>/", quiet_out_of_the_cache),
    path("p-broken/", product_of_broken_callable),
    path("p-broken-async/", product_of_broken_callable_async),
    path("class/<int:number>/", ByClass.as_view()),
    path("method/<int:number>/", ByMethod.as_view()),
    path("method-async/<int:number>/", ByAsyncMethod.as_view()),
    path("method-named/<int:number>/", NamedByMethod.as_view()),
    path("method-hidden/<int:number>/", hidden_class),
    path("class-named/", NamedClass.as_view()),
    path("class-async/", ByAsyncClass.as_view()),
    path("cart/", cart),
    path("wishlist/", wishlist),
    path("search-by-broken-callable/", search_by_broken_callable),
    path("search-by-track-view/", search_by_track_view),
    path("named/", named),
    path("named-async/", named_async),
    path("tag/", tag),
    path("tag-async/", tag_async),
    path("tag-without-request/", tag_without_request),
    path("tag-without-request-async/", tag_without_request_async),
    path("tag-streamed/", tag_streamed),
    path("report/", report),
    path("report-async/", report_async),
    path("sync-track-in-the-loop/", sync_track_in_the_loop),
    path("order-that-fails/", order_that_fails),
    path("order/", order),
]
