"""The shoppers of a shop, who come as often as they are told to: a process of `page`, `memory`."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client

from benchmarks.children import hear, say
from benchmarks.clients import visit
from benchmarks.models import Product
from benchmarks.visits import USER_AGENT
from django_moloco_rmp.outbox import Outbox, default_alias

_PRODUCTS = 1000
_KINDS = 20
# Longer than an event waits for others in the buffer.
_LINGER = 0.3
_PATIENCE = 300.0


def _stock_up() -> list[str]:
    Product.objects.bulk_create(
        Product(
            slug=f"lamp-{number}",
            kind=f"kind-{number % _KINDS}",
            title=f"A lamp that is as good as {number} candles",
            price=number + 0.9,
        )
        for number in range(_PRODUCTS)
    )
    return [f"lamp-{number}" for number in range(0, _PRODUCTS, 7)]


def _headers(number: int) -> str:
    """Return what the browser of a shopper who has signed in sends with each request."""
    client = Client()
    client.force_login(User.objects.create(username=f"shopper-{number}"))
    session = client.cookies["sessionid"].value
    return (
        f"Host: shop.example\r\nUser-Agent: {USER_AGENT}\r\nAccept-Language: en-GB\r\n"
        "Referer: http://shop.example/category/lamps/\r\n"
        f"Cookie: sessionid={session}; moloco_pid={number:032x}\r\n"
    )


def _wait_until_sent() -> None:
    end = time.monotonic() + _PATIENCE
    time.sleep(_LINGER)
    while Outbox(default_alias()).pending():
        if time.monotonic() > end:
            raise TimeoutError("there still are events that have not been sent")
        time.sleep(0.1)


def main(shoppers: str) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    slugs = _stock_up()
    headers = [_headers(number) for number in range(int(shoppers))]
    connection.close()
    say("ready")
    word: dict[str, Any] | None
    while (word := hear()) is not None:
        paths = [word["path"].format(slug=slug) for slug in slugs]
        seconds, times = visit(word["port"], paths, headers, pages=word["pages"], gap=word["gap"])
        if word["waits"]:
            _wait_until_sent()
            connection.close()
        say({"seconds": seconds, "times": times})
