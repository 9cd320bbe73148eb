"""What the middleware costs a page that emits nothing, beside one that does nothing."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from benchmarks.pairs import Figures, Say, Times, measure, ratio

ROUNDS = 31
# Calls that are timed together: one takes hardly longer than to look at the clock.
_BATCH = 100


class Nothing:
    """The least that a middleware of both kinds can be."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        return self._acall(request) if self._is_async else self.get_response(request)

    async def _acall(self, request: Any) -> Any:
        return await self.get_response(request)


def _turn(middleware: type[Any], request: Any, batches: int) -> Times:
    def view(_: Any) -> None: ...

    answer = middleware(view)
    times = []
    for _ in range(batches):
        begun = time.perf_counter_ns()
        for _ in range(_BATCH):
            answer(request)
        times.append((time.perf_counter_ns() - begun) // _BATCH)
    return times


def _async_turn(middleware: type[Any], request: Any, batches: int) -> Times:
    async def view(_: Any) -> None: ...

    answer: Callable[[Any], Awaitable[None]] = middleware(view)

    async def turn() -> Times:
        times = []
        for _ in range(batches):
            begun = time.perf_counter_ns()
            for _ in range(_BATCH):
                await answer(request)
            times.append((time.perf_counter_ns() - begun) // _BATCH)
        return times

    return asyncio.run(turn())


def main(say: Say, *, quick: bool = False) -> None:
    """Print a table."""
    batches = 5 if quick else 50
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    os.environ.setdefault("BENCH_DATABASE_URL", "sqlite://:memory:")
    import django  # noqa: PLC0415

    django.setup()
    from django.test import RequestFactory  # noqa: PLC0415

    from django_moloco_rmp.middleware import MolocoMiddleware  # noqa: PLC0415

    request = RequestFactory().get("/")
    say("| a page that emits nothing | kind | median, us | 99th percentile, us | ours against it |")
    say("|---|---|---:|---:|---:|")
    for kind, turn in {"sync": _turn, "async": _async_turn}.items():
        found = measure(
            {
                "moloco": partial(turn, MolocoMiddleware, request, batches),
                "nothing": partial(turn, Nothing, request, batches),
            },
            rounds=ROUNDS,
        )
        for name, rounds in found.items():
            figures = Figures.of(rounds)
            say(
                f"| {name} | {kind} | {figures.median / 1000:.2f} | {figures.worst / 1000:.2f}"
                f" | {ratio(found['moloco'], rounds):.2f} |"
            )
