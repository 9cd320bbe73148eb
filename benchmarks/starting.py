"""What a process has loaded once it has done one thing: the process of `start`."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.test import Client

from benchmarks import usage
from benchmarks.children import say
from benchmarks.visits import USER_AGENT


def _relay() -> None:
    call_command("migrate", verbosity=0)
    call_command("moloco_relay", until_empty=True, stdout=io.StringIO())


def _visit() -> None:
    call_command("migrate", verbosity=0)
    client = Client(headers={"host": "shop.example", "user-agent": USER_AGENT})
    answer = client.get("/product/lamp-red/")
    assert answer.status_code == 200


DEEDS: dict[str, Callable[[], object]] = {
    "check": lambda: call_command("check", stdout=io.StringIO()),
    "relay": _relay,
    "serve": get_wsgi_application,
    "visit": _visit,
}


def main(deed: str) -> None:
    DEEDS[deed]()
    say(
        {
            "imported": "ua_parser" in sys.modules,
            "ruled": any(name.startswith("ua_parser_builtins.") for name in sys.modules),
            "resident": usage.resident(),
        }
    )
