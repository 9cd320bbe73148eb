"""Fills an outbox anew as often as it is told to: a process of `relays` and `memory`."""

from __future__ import annotations

import itertools

from django.core.management import call_command

from benchmarks import stock
from benchmarks.children import hear, say


def main() -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    numbers = itertools.count(1)
    while (count := hear()) is not None:
        stock.clear()
        # Ids of their own: those of before may have been delivered under them.
        stock.fill(count, prefix=f"fill-{next(numbers)}")
        stock.analyse()
        say(count)
