"""Task queues that are away."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django

from tests.faults.bench import Bench, Outcome, Sandbox, wait_until
from tests.faults.processes import Child
from tests.runners.brokers import refusing_port, silent_port

#: The most that a queue which is away may add to a transaction, seconds.
_MOST_ADDED = 0.005
_REFUSING = "tests.runners.backends.Refusing"


@contextmanager
def _away() -> Iterator[dict[str, dict[str, Any]]]:
    """What a shop is started with, for each way in which its queue may be away."""
    with silent_port() as silent, refusing_port() as refused:
        ways: dict[str, dict[str, Any]] = {}
        if importlib.util.find_spec("celery") is not None:
            for scheme in ("redis", "amqp"):
                for how, port in (("refused", refused), ("silent", silent)):
                    url = f"{scheme}://127.0.0.1:{port}//"
                    ways[f"{scheme} {how}"] = {"RELAY": "celery", "broker": url}
        if django.VERSION >= (6, 0):
            ways["tasks raising"] = {"RELAY": "tasks", "backend": _REFUSING}
        yield ways


def _added(bench: Bench, shop: Child, usual: Child, offered: list[str]) -> float:
    """Return by how much a shop's transactions take longer in the median, seconds."""
    took: dict[Child, list[float]] = {shop: [], usual: []}
    # In turns, as the machine is now busy and now not; and the threads begin with the first.
    for turn in range(bench.scale.of(4, 20)):
        for each in took:
            said = each.ask("sell", 10, 0.002)
            assert not said["errors"], said["errors"][:3]
            offered += said["ids"]
            took[each] += said["took"] if turn else []
    return statistics.median(took[shop]) - statistics.median(took[usual])


def queue_away(bench: Bench) -> Outcome:
    """F20. The queue cannot be told: no shopper waits for it, and the floor delivers."""
    floor = bench.scale.of(1, 60)
    most_added = bench.scale.of(0.05, _MOST_ADDED)
    offered: list[str] = []
    added: dict[str, float] = {}
    with Sandbox() as sandbox, bench.children() as crew, _away() as ways:
        begun = time.monotonic()
        # All of them in the long form.
        shown = bench.scale.of({"redis silent", "tasks raising"}, ways.keys())
        for way in ways.keys() & shown:
            options = ways[way]
            shops = [
                crew.shop(BASE_URL=sandbox.url, **each) for each in (options, {"RELAY": "thread"})
            ]
            added[way] = _added(bench, *shops, offered)
            assert added[way] < most_added, f"{way}: {added[way] * 1000:.1f} ms"
            for shop in shops:
                shop.hang_up()
                assert shop.wait() == 0
        # Whatever calls it: a timetable, cron.
        wait_until(lambda: time.monotonic() > begun + floor, "the floor", floor + 60)
        took = time.monotonic()
        crew.command(sandbox, "--until-empty").ready().finish(300)
        took = time.monotonic() - took
        assert bench.pending() == 0
        assert took < bench.scale.of(30, 5), f"delivered only {took:.1f} s after the floor"
        most = max(added.values(), default=0.0) * 1000
        return bench.judge(
            sandbox,
            offered,
            f"{len(added)} ways: at most {most:+.1f} ms in the median; delivered {took:.1f} s after"
            f" the floor of {floor} s",
        )
