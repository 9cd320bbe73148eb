"""
A small shop for real servers. Each answer tells about the process that gave it: its pid, its
threads of ours, how many queries the request made, and the ids of the events it reported.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.test.utils import CaptureQueriesContext
from django.urls import path

from django_moloco_rmp import atrack, track
from django_moloco_rmp.checks import check_threads
from tests.processes.goods import LAMP, SHOPPER


def about(**more: Any) -> JsonResponse:
    names = [each.name for each in threading.enumerate()]
    return JsonResponse({"pid": os.getpid(), "threads": names.count("moloco-rmp"), **more})


def here(request: HttpRequest) -> JsonResponse:
    """Report nothing."""
    return about(checks=[each.id for each in check_threads()])


def emit(request: HttpRequest, event_type: str, count: int) -> JsonResponse:
    """Report events."""
    with CaptureQueriesContext(connection) as queries:
        ids = [track(event_type, LAMP, shopper=SHOPPER) for _ in range(count)]
    return about(ids=ids, queries=len(queries))


async def aemit(request: HttpRequest, event_type: str, count: int) -> JsonResponse:
    """Report events, awaiting each."""
    return about(ids=[await atrack(event_type, LAMP, shopper=SHOPPER) for _ in range(count)])


async def in_loop(request: HttpRequest, event_type: str, count: int) -> JsonResponse:
    """Report events in the loop's own thread."""
    return about(ids=[track(event_type, LAMP, shopper=SHOPPER) for _ in range(count)])


urlpatterns = [
    path("here/", here),
    path("emit/<event_type>/<int:count>/", emit),
    path("aemit/<event_type>/<int:count>/", aemit),
    path("in-loop/<event_type>/<int:count>/", in_loop),
]
