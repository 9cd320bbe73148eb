"""URLs for test_checks: names in namespaces, namespaces in namespaces, languages, no names."""

from __future__ import annotations

from functools import partial

from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views import View


def view(request: HttpRequest, **kwargs: object) -> HttpResponse:
    return HttpResponse()


class ClassView(View):
    """A view without a name for its URL."""


orders = ([path("<int:pk>/", view, name="order")], "orders")
account = ([path("", view, name="index"), path("orders/", include(orders))], "account")

urlpatterns = [
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
