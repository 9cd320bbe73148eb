"""A relay that empties an outbox, and a bare loop that posts as much: the process of `relay`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import requests
from django.core.management import call_command
from django.db import connection

from benchmarks import stock
from benchmarks.children import say
from benchmarks.pairs import measure
from django_moloco_rmp.conf import DEFAULT, get_settings
from django_moloco_rmp.fleet import fleet_from_settings
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import default_alias
from django_moloco_rmp.relay import client_for

_THREADS = 8
_WARM_UP = 100


def _relay(count: int) -> None:
    tally = fleet_from_settings(default_alias()).run(until_empty=True)
    assert tally.delivered == count, tally


def _loop(bodies: list[str]) -> None:
    settings = get_settings()
    with client_for(settings.destinations[DEFAULT]) as client:
        url = client.url
    headers = {"X-API-Key": settings.api_key, "Content-Type": "application/json"}

    def post(part: list[str]) -> None:
        with requests.Session() as session:
            for body in part:
                answer = session.post(url, data=body, headers=headers, timeout=settings.timeout)
                assert answer.status_code == 200

    threads = [
        threading.Thread(target=post, args=(bodies[place::_THREADS],)) for place in range(_THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _timed(work: Callable[[], None], count: int) -> tuple[float, float]:
    """Return events per second, and milliseconds of CPU for each."""
    cpu, begun = time.process_time(), time.perf_counter()
    work()
    seconds = time.perf_counter() - begun
    return count / seconds, (time.process_time() - cpu) * 1000 / count


def main(rounds: str, events: str) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    count = int(events)
    numbers = iter(range(1000))

    def relay(count: int = count) -> tuple[float, float]:
        stock.clear()
        stock.fill(count, prefix=f"round-{next(numbers)}")
        stock.analyse()
        return _timed(lambda: _relay(count), count)

    stock.fill(count)
    bodies = list(OutboxEvent.objects.values_list("payload", flat=True))
    relay(_WARM_UP)
    _loop(bodies[:_WARM_UP])
    found = measure(
        {"relay": relay, "loop": lambda: _timed(lambda: _loop(bodies), count)}, rounds=int(rounds)
    )
    connection.close()
    say(found)
