"""Requests of a shopper who is signed in, each seen by the middleware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import resolve

from django_moloco_rmp.middleware import MolocoMiddleware

USER_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/141.0.0.0 Safari/537.36"
)
_T = TypeVar("_T")


class Visits:
    """What the shopper sends with each request; all that is lazy is to be found out anew."""

    def __init__(self) -> None:
        self._user = User(pk=4711)
        self._factory = RequestFactory(
            HTTP_HOST="shop.example",
            HTTP_REFERER="http://shop.example/category/lamps/",
            HTTP_USER_AGENT=USER_AGENT,
            HTTP_ACCEPT_LANGUAGE="en-GB",
        )

    def during(self, work: Callable[[], _T]) -> _T:
        """Do some work in one request, and return what it returns."""
        request = self._factory.get("/product/lamp-red/")
        request.COOKIES["moloco_pid"] = "5" * 32
        request.session = SessionStore("k" * 32)
        request.user = self._user
        request.resolver_match = resolve(request.path)
        found: list[_T] = []

        def view(_: Any) -> HttpResponse:
            found.append(work())
            return HttpResponse()

        MolocoMiddleware(view)(request)
        return found[0]
