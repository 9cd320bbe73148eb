"""Events per second of one relay, claim to delete, beside a bare loop that posts the bodies."""

from __future__ import annotations

import statistics

from benchmarks import children
from benchmarks.databases import DATABASES, present
from benchmarks.pairs import Say, paired
from benchmarks.sink import Sink

ROUNDS = 5
#: Seconds before each answer, and how many events are sent then.
DELAYS = {0.0: 1000, 0.05: 400}


def main(say: Say, *, quick: bool = False) -> None:
    """Print a table."""
    part = 10 if quick else 1
    here = present(say)
    say(
        f"One relay with 8 connections (`CONCURRENCY`), no `MAX_QPS`; {ROUNDS} rounds, turn about"
        " with 8 threads that each post with a `requests.Session`. CPU is that of the process that"
        " sends."
    )
    say("")
    say(
        "| database | answers after | events | relay, events/s | bare loop, posts/s"
        " | relay against loop | relay, CPU ms an event | loop, CPU ms a post |"
    )
    say("|---|---:|---:|---:|---:|---:|---:|---:|")
    for database in here:
        for delay, count in DELAYS.items():
            with DATABASES[database]() as url, Sink(delay) as sink:
                found = children.answer(
                    children.environment(url, {"BASE_URL": sink.url, "RELAY": "command"}),
                    "benchmarks.relaying",
                    ROUNDS,
                    count // part,
                )
            relay, loop = found["relay"], found["loop"]
            say(
                f"| {database} | {delay * 1000:.0f} ms | {count // part}"
                f" | {_median(relay, 0):.0f} | {_median(loop, 0):.0f}"
                f" | {paired([each[0] for each in relay], [each[0] for each in loop]):.2f}"
                f" | {_median(relay, 1):.2f} | {_median(loop, 1):.2f} |"
            )


def _median(rounds: list[list[float]], place: int) -> float:
    return statistics.median(each[place] for each in rounds)
