"""Pages for the toolbar, each with a body to put it in."""

from __future__ import annotations

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, include, path
from django.utils.decorators import method_decorator
from django.views import View

from django_moloco_rmp import Item, atrack, track
from django_moloco_rmp.decorators import home, item_page_view, land, page_view, search

PAGE = "<html><body>shop</body></html>"


def soft_404(get_response: Callable[[HttpRequest], HttpResponse]) -> object:
    """A middleware that answers what is missing with a page of its own."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        return HttpResponse(PAGE) if response.status_code == 404 else response

    return middleware


def quiet(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


@home("HOME")
def front(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


@home("HOME")
async def front_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


@item_page_view("PRODUCT:{slug}", item="product")
def product(request: HttpRequest, slug: str) -> HttpResponse:
    if slug == "none":
        raise Http404
    template = engines["django"].from_string(PAGE)
    return TemplateResponse(request, template, {"product": Item(slug)})


@land
@search
@page_view
def found(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


@method_decorator([land, home], name="dispatch")
class Front(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(PAGE)


def several(request: HttpRequest) -> HttpResponse:
    track("PAGE_VIEW", page_id="<script>alert('é')</script>")
    track("PURCHASE")
    return HttpResponse(PAGE)


async def several_async(request: HttpRequest) -> HttpResponse:
    await atrack("PAGE_VIEW", page_id="<script>alert('é')</script>")
    await atrack("PURCHASE")
    return HttpResponse(PAGE)


def from_template(request: HttpRequest) -> HttpResponse:
    source = "{% load moloco_rmp %}{% moloco_page_view 'TAG' %}" + PAGE
    return TemplateResponse(request, engines["django"].from_string(source))


urlpatterns: list[URLPattern | URLResolver] = [
    path("quiet/", quiet),
    path("front/", front),
    path("front-async/", front_async),
    path("p/<slug>/", product),
    path("found/", found),
    path("class/", Front.as_view()),
    path("several/", several),
    path("several-async/", several_async),
    path("from-template/", from_template),
    path("__debug__/", include("debug_toolbar.urls")),
]
