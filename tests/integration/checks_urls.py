"""URLs for test_checks: names in namespaces, namespaces in namespaces, languages, no names."""

from __future__ import annotations

from functools import partial

from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views import View

from django_moloco_rmp.decorators import page


def view(request: HttpRequest, **kwargs: object) -> HttpResponse:
    return HttpResponse()


class ClassView(View):
    """A view without a name for its URL."""


orders = ([path("<int:pk>/", view, name="order")], "orders")
account = ([path("", view, name="index"), path("orders/", include(orders))], "account")

#: Each kind of URL that captures something, under the name that says what.
captures = [
    path("slug/<slug:slug>/", view, name="slug"),
    path("default/", view, {"slug": "sale"}, name="slug-by-default"),
    path("either/<slug:slug>/", view, name="slug-or-not"),
    path("either/", view, name="slug-or-not"),
    re_path(r"^groups/(\d+)/(\d+)/$", view, name="two-groups"),
    re_path(r"^both/(\d+)/(?P<slug>\w+)/$", view, name="slug-but-no-group"),
    re_path(r"^group-and-default/(\d+)/$", view, {"slug": "sale"}, name="slug-and-group"),
    path("in/<slug:slug>/", include([re_path(r"^(\d+)/$", view, name="slug-and-group-within")])),
    re_path(r"^in/(\d+)/", include([re_path(r"^(\d+)/$", view, name="two-groups-within")])),
    re_path(r"^in/(\d+)/", include([path("<slug:slug>/", view, name="slug-within")])),
    re_path(r"^in/(\d+)/", include([path("", view, name="slug-around")]), {"slug": "sale"}),
    path("page/<slug:slug>/", page("PAGE:{slug}")(view), name="decorated"),
]

urlpatterns = [
    *captures,
    path("", view, name="home"),
    re_path(r"^search/$", view, name="search"),
    path("unnamed/", view),
    path("partial/", partial(view, a=1)),
    path("class/", ClassView.as_view()),
    path("plain/", include([path("inner/", view, name="inner")])),
    path("mine/", include(account, namespace="mine")),
    path("theirs/", include(account, namespace="theirs")),
    *i18n_patterns(path("about/", view, name="about"), path("shop/", include(account))),
]
