"""What one event costs the request it is reported in, beside other libraries and a plain post."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

from benchmarks.databases import sqlite
from benchmarks.emitting import EMITTERS
from benchmarks.pairs import Figures, Say, Times, measure, ratio
from benchmarks.sink import Sink

ROUNDS = 5
GAPS = {"hot loop": 0.0, "1 ms apart": 0.001}


def _turn(emitter: str, url: str, gap: float, calls: int) -> Times:
    with sqlite() as database:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.emitting", emitter, url),
                *("--gap", str(gap), "--calls", str(calls)),
            ],
            env={**os.environ, "BENCH_DATABASE_URL": database},
            stdout=subprocess.PIPE,
            check=True,
        )
    times: list[int] = json.loads(done.stdout)
    return times


def main(say: Say, *, quick: bool = False) -> None:
    """Print a table."""
    calls = 200 if quick else 2000
    say("| one event in a request | pace | median, us | 99th percentile, us | ours against it |")
    say("|---|---|---:|---:|---:|")
    with Sink() as sink:
        for pace, gap in GAPS.items():
            turns = {name: partial(_turn, name, sink.url, gap, calls) for name in EMITTERS}
            found = measure(turns, rounds=ROUNDS)
            for name, rounds in found.items():
                figures = Figures.of(rounds)
                say(
                    f"| {name} | {pace} | {figures.median / 1000:.1f} | {figures.worst / 1000:.1f}"
                    f" | {ratio(found['moloco'], rounds):.2f} |"
                )
