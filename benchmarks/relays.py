"""Events per second of several relay processes at one outbox, beside one of them."""

from __future__ import annotations

import os
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from benchmarks import children, usage
from benchmarks.databases import DATABASES, present
from benchmarks.pairs import Say, measure, paired
from benchmarks.sink import Sink

ROUNDS = 5
COUNTS = (1, 2, 4)
DELAY = 0.05
CONNECTIONS = 8
#: For each relay, so that all rounds take as long if the speed is linear.
EVENTS = 1000


@dataclass(frozen=True, slots=True)
class _Turn:
    """Events per second, and how many CPUs were busy: for the relays, and in all."""

    rate: float
    relays: float
    machine: float


def _turn(stock: children.Child, env: dict[str, str], relays: int, events: int) -> _Turn:
    stock.ask(events)
    with ExitStack() as stack:
        those = [
            stack.enter_context(children.Child(env, "benchmarks.sending")) for _ in range(relays)
        ]
        for each in those:
            each.hear()
        busy, begun = usage.machine_cpu(), time.perf_counter()
        for each in those:
            each.tell("go")
        answers = [each.hear() for each in those]
        seconds = time.perf_counter() - begun
        busy = usage.machine_cpu() - busy
    delivered = sum(each["delivered"] for each in answers)
    assert delivered == events, answers
    cpu = sum(each["cpu"] for each in answers)
    return _Turn(events / seconds, cpu / seconds, busy / seconds)


def main(say: Say, *, quick: bool = False) -> None:
    """Print a table."""
    rounds, events = (2, 200) if quick else (ROUNDS, EVENTS)
    here = present(say, ("PostgreSQL", "MariaDB"))
    say(
        f"{events} events for each relay of {CONNECTIONS} connections, answers after"
        f" {DELAY * 1000:.0f} ms, {rounds} rounds, turn about. Time ends with the last of the"
        f" relays. *CPUs* are those that were busy, of {os.cpu_count()}: the relays', and all, with"
        " the database's and whatever else ran."
    )
    say("")
    say(
        "| database | relays | most that the answers allow, events/s | events/s | against one"
        " | of linear | CPUs, relays | CPUs, all |"
    )
    say("|---|---:|---:|---:|---:|---:|---:|---:|")
    for database in here:
        with DATABASES[database]() as url, Sink(DELAY) as sink:
            env = children.environment(
                url, {"BASE_URL": sink.url, "RELAY": "command", "CONCURRENCY": CONNECTIONS}
            )
            with children.Child(env, "benchmarks.stocking") as stock:
                turns = {
                    str(count): partial(_turn, stock, env, count, count * events)
                    for count in COUNTS
                }
                found = measure(turns, rounds=rounds)
        one = [each.rate for each in found["1"]]
        for count in COUNTS:
            those = found[str(count)]
            against = paired([each.rate for each in those], one)
            say(
                f"| {database} | {count} | {count * CONNECTIONS / DELAY:.0f}"
                f" | {statistics.median(each.rate for each in those):.0f} | {against:.2f}"
                f" | {against / count:.2f}"
                f" | {statistics.median(each.relays for each in those):.2f}"
                f" | {statistics.median(each.machine for each in those):.2f} |"
            )
