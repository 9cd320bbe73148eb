"""A product's page under load, behind a server, beside the same shop without the app."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks import children, usage
from benchmarks.databases import DATABASES, present
from benchmarks.pairs import Figures, Say, Times, measure, paired, worst
from benchmarks.serving import THREADS, Server
from benchmarks.sink import Sink

ROUNDS = 5
DELAY = 0.05
PAGES = {"bare": "/product/{slug}/", "usual": "/offer/{slug}/"}
#: Seconds between an answer and the next question, and how many pages are asked for.
PACES = {"at once": (0.0, 1000), "after 50 ms": (0.05, 400)}
_WARM_UP = 100


@dataclass(frozen=True, slots=True)
class _Turn:
    """Pages per second, how long each took, and the worker's CPU for each, milliseconds."""

    rate: float
    times: Times
    cpu: float


def _turn(
    shoppers: children.Child,
    servers: Mapping[str, Server],
    path: str,
    gap: float,
    pages: int,
    name: str,
) -> _Turn:
    server = servers[name]
    used = usage.cpu(server.worker())
    word = {"port": server.port, "path": path, "gap": gap, "pages": pages, "waits": True}
    found = shoppers.ask(word)
    cpu = (usage.cpu(server.worker()) - used) * 1000 / pages
    return _Turn(pages / found["seconds"], found["times"], cpu)


def main(say: Say, *, quick: bool = False) -> None:
    """Print a table."""
    rounds, part = (2, 5) if quick else (ROUNDS, 1)
    here = present(say)
    say(
        f"gunicorn with one worker of {THREADS} threads, {THREADS} clients of signed-in shoppers"
        " that keep their connections; the app's relay is a thread of the worker, to a server that"
        f" answers after {DELAY * 1000:.0f} ms. {rounds} rounds, turn about. The bare page is a"
        " text, so that only the app asks for the session and the user; the usual one asks for"
        " these as well, for its product and 24 others, and has a template. CPU is the worker's,"
        " until all events have been sent."
    )
    say("")
    say(
        "| database | page | clients ask again | app | pages/s | median, ms | 99th percentile, ms"
        " | CPU, ms a page | pages/s against without | 99th percentile against without |"
    )
    say("|---|---|---|---|---:|---:|---:|---:|---:|---:|")
    for database in here:
        with DATABASES[database]() as url, Sink(DELAY) as sink:
            # As shops have it that are under load.
            env = children.environment(f"{url}?conn_max_age=600", {"BASE_URL": sink.url})
            with children.Child(env, "benchmarks.visiting", THREADS) as shoppers:
                shoppers.hear()
                with Server({**env, "BENCH_WITHOUT_APP": "1"}) as without, Server(env) as ours:
                    turn = partial(_turn, shoppers, {"without": without, "with": ours})
                    for page, path in PAGES.items():
                        for pace, (gap, pages) in PACES.items():
                            label = f"| {database} | {page} | {pace}"
                            _measure(say, label, partial(turn, path, gap), pages // part, rounds)


def _measure(
    say: Say, label: str, turn: Callable[[int, str], _Turn], pages: int, rounds: int
) -> None:
    turns = {name: partial(turn, pages, name) for name in ("without", "with")}
    for name in turns:
        turn(_WARM_UP, name)
    found = measure(turns, rounds=rounds)
    rates = {name: [each.rate for each in those] for name, those in found.items()}
    slowest = {name: [worst(each.times) for each in those] for name, those in found.items()}
    for name, those in found.items():
        figures = Figures.of([each.times for each in those])
        say(
            f"{label} | {name} | {statistics.median(rates[name]):.0f}"
            f" | {figures.median / 1e6:.1f} | {figures.worst / 1e6:.1f}"
            f" | {statistics.median(each.cpu for each in those):.2f}"
            f" | {paired(rates[name], rates['without']):.2f}"
            f" | {paired(slowest[name], slowest['without']):.2f} |"
        )
