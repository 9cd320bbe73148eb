"""Visits to the shop of shopper_urls, and what comes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client, override_settings

from django_moloco_rmp.events import Event
from django_moloco_rmp.signals import event_dropped
from django_moloco_rmp.testing import capture_events
from tests.settings import MOLOCO_RMP

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
    " Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def configured(**keys: Any) -> override_settings:
    """MOLOCO_RMP with other keys, for a test (decorator) or a part of one (context manager)."""
    return override_settings(MOLOCO_RMP={**MOLOCO_RMP, **keys})


def get(client: Client | AsyncClient, path: str, **keywords: Any) -> Any:
    """Get a page, which has to be a success, with either kind of client."""
    if isinstance(client, AsyncClient):
        response = async_to_sync(client.get)(path, **keywords)
    else:
        response = client.get(path, **keywords)
    assert response.status_code == 200
    return response


def events_of(client: Client | AsyncClient, path: str = "/emit/", **keywords: Any) -> list[Event]:
    """Get a page and return the events that it recorded."""
    with capture_events() as events:
        get(client, path, **keywords)
    return events


def event_of(client: Client | AsyncClient, path: str = "/emit/", **keywords: Any) -> Event:
    """Get a page and return the one event that it recorded."""
    (event,) = events_of(client, path, **keywords)
    return event


@contextmanager
def drop_reasons() -> Iterator[list[str]]:
    """Collect why events were dropped inside of the ``with`` block."""
    reasons: list[str] = []

    def collect(sender: Any, reason: str, detail: str, **_: Any) -> None:
        reasons.append(reason)

    event_dropped.connect(collect, weak=False)
    try:
        yield reasons
    finally:
        event_dropped.disconnect(collect)
