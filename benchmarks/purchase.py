"""What ``track_purchase`` adds to the transaction of an order, beside a plain row of that size."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks import children
from benchmarks.databases import DATABASES, present
from benchmarks.pairs import Figures, Say, Times, paired, ratio

ROUNDS = 9
LABELS = {"order": "nothing", "row": "a plain row", "event": "`track_purchase`"}


def main(say: Say, *, quick: bool = False) -> None:
    """Print a table."""
    rounds, calls = (5, 50) if quick else (ROUNDS, 300)
    here = present(say)
    say(
        "One transaction in a request: one order, and beside it nothing, a row by"
        " `Model.objects.create()`, or the event. The relay runs elsewhere (`RELAY` is `command`)."
        f" {rounds} rounds of {calls} transactions each; *added* is what goes beyond the order."
    )
    say("")
    say(
        "| database | beside the order | median, ms | 99th percentile, ms | added, ms"
        " | event against row, whole | event against row, added |"
    )
    say("|---|---|---:|---:|---:|---:|---:|")
    for database in here:
        with DATABASES[database]() as url:
            times: dict[str, list[Times]] = children.answer(
                children.environment(url, {"RELAY": "command"}),
                "benchmarks.purchasing",
                rounds,
                calls,
            )
        added = {name: _added(times[name], times["order"]) for name in ("row", "event")}
        for name, label in LABELS.items():
            figures = Figures.of(times[name])
            extra = f"{statistics.median(added[name]) / 1e6:.2f}" if name in added else ""
            whole = beyond = ""
            if name == "event":
                whole = f"{ratio(times['event'], times['row']):.2f}"
                beyond = f"{paired(added['event'], added['row']):.2f}"
            say(
                f"| {database} | {label} | {figures.median / 1e6:.2f} | {figures.worst / 1e6:.2f}"
                f" | {extra} | {whole} | {beyond} |"
            )


def _added(rounds: Sequence[Times], bare: Sequence[Times]) -> list[float]:
    pairs = zip(rounds, bare, strict=True)
    return [statistics.median(each) - statistics.median(order) for each, order in pairs]
