"""What the app adds to the start of a process: to an import, to a check, and to what is loaded."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial

from benchmarks import children
from benchmarks.databases import sqlite
from benchmarks.pairs import Say, measure

ROUNDS = 31
_SETTINGS = {"RELAY": "command"}
#: By the names of `benchmarks.starting`.
_DEEDS = {
    "check": "has run `manage.py check`",
    "relay": "has run a relay",
    "serve": "has made the WSGI application",
    "visit": "has served a shopper",
}


def _turn(arguments: tuple[str, ...], env: Mapping[str, str]) -> float:
    """Return how long a fresh interpreter takes from begin to end, milliseconds."""
    # As where a shop runs: what Python compiles is kept, whatever the one who measures has set.
    env = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - begun) * 1000


def main(say: Say, *, quick: bool = False) -> None:
    """Print two tables."""
    _times(say, 5 if quick else ROUNDS)
    say("")
    _loaded(say)


def _times(say: Say, rounds: int) -> None:
    say(
        f"Fresh interpreters from begin to end, {rounds} of each, turn about. *Added* is the median"
        " of the rounds' differences."
    )
    say("")
    say("| process | app | median, ms | slowest, ms | added, ms |")
    say("|---|---|---:|---:|---:|")
    env = children.environment("sqlite://:memory:", _SETTINGS)
    check = ("-m", "django", "check")
    pairs = {
        "`import django`": {
            "without": partial(_turn, ("-c", "import django"), os.environ),
            "with": partial(_turn, ("-c", "import django, django_moloco_rmp"), os.environ),
        },
        "`manage.py check`": {
            "without": partial(_turn, check, {**env, "BENCH_WITHOUT_APP": "1"}),
            "with": partial(_turn, check, env),
        },
    }
    for label, pair in pairs.items():
        # Once for the files that Python compiles.
        measure(pair, rounds=1)
        found = measure(pair, rounds=rounds)
        differences = [a - b for a, b in zip(found["with"], found["without"], strict=True)]
        added = {"without": "", "with": f"{statistics.median(differences):.1f}"}
        for name, times in found.items():
            say(
                f"| {label} | {name} | {statistics.median(times):.1f} | {max(times):.1f}"
                f" | {added[name]} |"
            )


def _loaded(say: Say) -> None:
    said = {True: "yes", False: "no"}
    say("| a process that | has imported ua-parser | has loaded its rules | takes, MiB |")
    say("|---|---|---|---:|")
    for deed, label in _DEEDS.items():
        # A file, for the thread that writes the shopper's event.
        with sqlite() as url:
            found = children.answer(
                children.environment(url, _SETTINGS), "benchmarks.starting", deed
            )
        say(
            f"| {label} | {said[found['imported']]} | {said[found['ruled']]}"
            f" | {found['resident'] / 2**20:.0f} |"
        )
