"""What the length of the backlog costs: a claim, writing it back, and the look of an idle relay."""

from __future__ import annotations

from benchmarks import children
from benchmarks.databases import DATABASES, present
from benchmarks.pairs import Figures, Say, ratio

ROUNDS = 5
CALLS = 40
FEW, MANY = 1_000, 1_000_000
LABELS = {
    "claim": "claim 50 events",
    "settle": "delete them as delivered",
    "idle": "look, all waiting for later",
    "rejected": "look, all rejected",
}


def main(say: Say, *, quick: bool = False) -> None:
    """Print a table."""
    many = MANY // 100 if quick else MANY
    here = present(say)
    say(
        f"{FEW:,} against {many:,} rows, {ROUNDS} rounds of {CALLS} calls, turn about. Bodies are"
        " short, so that a million of them are written sooner."
    )
    say("")
    say(
        f"| database | what | {FEW:,} rows: median, ms | {many:,} rows: median, ms"
        " | 99th percentile, ms | many against few |"
    )
    say("|---|---|---:|---:|---:|---:|")
    for database in here:
        with DATABASES[database]() as url, DATABASES[database]() as large:
            found = children.answer(
                children.environment(url, {"RELAY": "command"}, BENCH_LARGE_URL=large),
                "benchmarks.looking",
                *(ROUNDS, CALLS, FEW, many),
            )
        for name, label in LABELS.items():
            few, lots = found[name]["default"], found[name]["large"]
            say(
                f"| {database} | {label} | {Figures.of(few).median / 1e6:.2f}"
                f" | {Figures.of(lots).median / 1e6:.2f} | {Figures.of(lots).worst / 1e6:.2f}"
                f" | {ratio(lots, few):.2f} |"
            )
