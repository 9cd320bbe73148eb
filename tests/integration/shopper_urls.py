"""A shop for the tests of shoppers: views that emit, that ask who the shopper is, or do neither."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model, login
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import RequestContext, Template
from django.urls import URLPattern, URLResolver, path

from django_moloco_rmp import (
    Item,
    Money,
    atrack,
    track,
    track_add_to_cart,
    track_page_view,
    track_purchase,
)
from django_moloco_rmp.decorators import home, item_page_view, page, page_view, search
from django_moloco_rmp.shopper import current_shopper

LAMP = Item("lamp", price=Money("19.90", "EUR"))


def user_id_from_header(request: HttpRequest) -> str:
    """What USER_ID may be: a dotted path."""
    return request.headers["x-customer"]


def quiet(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


async def quiet_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def emit(request: HttpRequest) -> HttpResponse:
    for _ in range(int(request.GET.get("times", 1))):
        track_page_view()
    return HttpResponse()


async def emit_async(request: HttpRequest) -> HttpResponse:
    await atrack("PAGE_VIEW")
    return HttpResponse()


def emit_in_stream(request: HttpRequest) -> StreamingHttpResponse:
    if "before" in request.GET:
        track_page_view()

    def pieces() -> Iterator[str]:
        track_page_view(request=request)
        yield "streamed"

    return StreamingHttpResponse(pieces())


async def emit_from_template_async(request: HttpRequest) -> HttpResponse:
    template = Template("{% load moloco_rmp %}{% moloco_page_view %}")
    return HttpResponse(template.render(RequestContext(request)))


def emit_invalid(request: HttpRequest) -> HttpResponse:
    track("SEARCH")
    return HttpResponse()


def emit_known(request: HttpRequest) -> HttpResponse:
    track("HOME", event_id="known")
    return HttpResponse()


def identifiers(request: HttpRequest) -> JsonResponse:
    found = request.moloco.identifiers()  # type: ignore[attr-defined]
    if "emit" in request.GET:
        track_page_view()
    return JsonResponse(found)


async def identifiers_async(request: HttpRequest) -> JsonResponse:
    return JsonResponse(await request.moloco.aidentifiers())  # type: ignore[attr-defined]


async def identifiers_in_the_event_loop(request: HttpRequest) -> JsonResponse:
    return JsonResponse(request.moloco.identifiers())  # type: ignore[attr-defined]


def freeze(request: HttpRequest) -> JsonResponse:
    frozen = request.moloco.freeze()  # type: ignore[attr-defined]
    if "emit" in request.GET:
        track_page_view()
    return JsonResponse(frozen)


async def freeze_async(request: HttpRequest) -> JsonResponse:
    return JsonResponse(await request.moloco.afreeze())  # type: ignore[attr-defined]


def emit_and_sign_in(request: HttpRequest) -> HttpResponse:
    track_page_view()
    login(request, get_user_model().objects.get())
    track_page_view()
    return HttpResponse()


def start_session(request: HttpRequest) -> HttpResponse:
    request.session["cart"] = ["lamp"]
    return HttpResponse()


def _is_current(request: HttpRequest) -> bool:
    return current_shopper() is request.moloco  # type: ignore[attr-defined]


def deep(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"here": _is_current(request)})


async def deep_async(request: HttpRequest) -> JsonResponse:
    found = {
        "here": _is_current(request),
        "in Django's thread": await sync_to_async(_is_current)(request),
        "in a thread of its own": await asyncio.to_thread(_is_current, request),
        "in a task": await asyncio.create_task(_ais_current(request)),
    }
    return JsonResponse(found)


async def _ais_current(request: HttpRequest) -> bool:
    return _is_current(request)


def fail(request: HttpRequest) -> HttpResponse:
    raise LookupError("the view fails")


async def fail_async(request: HttpRequest) -> HttpResponse:
    raise LookupError("the view fails")


@home("HOME_PAGE")
def home_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@search("SEARCH_PAGE")
async def search_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@page_view("CATEGORY_PAGE:{slug}")
def category_page(request: HttpRequest, slug: str) -> HttpResponse:
    return HttpResponse()


@item_page_view("PRODUCT_PAGE:{sku}", item=lambda request, response, sku: Item(sku))
def product_page(request: HttpRequest, sku: str) -> HttpResponse:
    return HttpResponse()


@page("WISHLIST_PAGE")
def wishlist_page(request: HttpRequest) -> HttpResponse:
    track("ADD_TO_WISHLIST", LAMP)
    return HttpResponse()


def order_page(request: HttpRequest, token: str) -> HttpResponse:
    track_page_view()
    return HttpResponse()


def add_to_cart(request: HttpRequest) -> HttpResponse:
    track_add_to_cart(LAMP)
    return HttpResponse()


def pay(request: HttpRequest) -> HttpResponse:
    """What the bank calls: it knows the frozen shopper from the order."""
    track_purchase(LAMP, shopper=json.loads(request.body))
    return HttpResponse()


urlpatterns: list[URLPattern | URLResolver] = [
    path("quiet/", quiet),
    path("quiet-async/", quiet_async),
    path("emit/", emit),
    path("emit-async/", emit_async),
    path("emit-in-stream/", emit_in_stream),
    path("emit-from-template-async/", emit_from_template_async),
    path("emit-invalid/", emit_invalid),
    path("emit-known/", emit_known),
    path("identifiers/", identifiers),
    path("identifiers-async/", identifiers_async),
    path("identifiers-in-the-event-loop/", identifiers_in_the_event_loop),
    path("freeze/", freeze),
    path("freeze-async/", freeze_async),
    path("emit-and-sign-in/", emit_and_sign_in),
    path("start-session/", start_session),
    path("deep/", deep),
    path("deep-async/", deep_async),
    path("fail/", fail),
    path("fail-async/", fail_async),
    path("", home_page),
    path("search/", search_page),
    path("c/<slug:slug>/", category_page),
    path("p/<slug:sku>/", product_page),
    path("wishlist/", wishlist_page),
    path("cart/add/", add_to_cart),
    path("about/", emit, name="about"),
    path("orders/<str:token>/", order_page),
    path("pay/", pay),
]
