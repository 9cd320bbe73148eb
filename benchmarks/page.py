"""A product's page under load, behind a server, beside the same shop without the app."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
#: Who sends, by the value of RELAY, and the pages that are asked for then.
RELAYS = {"thread": ("bare", "usual"), "command": ("usual",)}
#: Seconds between an answer and the next question, and how many pages are asked for.
PACES = {"at once": (0.0, 500), "after 50 ms": (0.05, 200)}


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


@contextmanager
def _relay(env: Mapping[str, str], runner: str) -> Iterator[None]:
    """Have `moloco_relay` run, if it is what sends."""
    if runner == "thread":
        yield
        return
    command = [sys.executable, "-m", "django", "moloco_relay"]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def main(say: Say, *, quick: bool = False) -> None:
    """Print a table."""
    rounds, part = (2, 5) if quick else (ROUNDS, 1)
    here = present(say)
    say(
        f"gunicorn with one worker of {THREADS} threads, {THREADS} clients of signed-in shoppers"
        " that keep their connections; the app's relay is a thread of the worker, or a process of"
        f" its own beside it, to a server that answers after {DELAY * 1000:.0f} ms. {rounds}"
        " rounds, turn about. The bare page is a text, so that only the app asks for the session"
        " and the user; the usual one asks for these as well, for its product and 24 others, and"
        " has a template. CPU is the worker's, until all events have been sent."
    )
    say("")
    say(
        "| database | page | clients ask again | app | pages/s | median, ms | 99th percentile, ms"
        " | CPU, ms a page | pages/s against without | 99th percentile against without |"
    )
    say("|---|---|---|---|---:|---:|---:|---:|---:|---:|")
    for database in here:
        for runner, pages in RELAYS.items():
            _compare(say, database, runner, pages, rounds, part)


def _compare(
    say: Say, database: str, runner: str, pages: tuple[str, ...], rounds: int, part: int
) -> None:
    name = "with" if runner == "thread" else "with, relay beside it"
    with DATABASES[database]() as url, Sink(DELAY) as sink:
        # As shops have it that are under load.
        settings = {"BASE_URL": sink.url, "RELAY": runner}
        env = children.environment(f"{url}?conn_max_age=600", settings)
        with children.Child(env, "benchmarks.visiting", THREADS) as shoppers:
            shoppers.hear()
            with (
                Server({**env, "BENCH_WITHOUT_APP": "1"}) as without,
                Server(env) as ours,
                _relay(env, runner),
            ):
                turn = partial(_turn, shoppers, {"without": without, name: ours})
                for page in pages:
                    for pace, (gap, count) in PACES.items():
                        label = f"| {database} | {page} | {pace}"
                        _measure(
                            say,
                            label,
                            name,
                            partial(turn, PAGES[page], gap, count // part),
                            rounds,
                        )


def _measure(say: Say, label: str, ours: str, turn: Callable[[str], _Turn], rounds: int) -> None:
    turns = {name: partial(turn, name) for name in ("without", ours)}
    measure(turns, rounds=1)
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
