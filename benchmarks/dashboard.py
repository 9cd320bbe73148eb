"""How long the admin's pages take, however many events are kept."""

from __future__ import annotations

import statistics

from benchmarks import children
from benchmarks.databases import DATABASES, present
from benchmarks.pairs import Say

ROUNDS = 20
FEW, MANY = 1_000, 1_000_000


def main(say: Say, *, quick: bool = False) -> None:
    """Print a table."""
    rounds, many = (5, MANY // 100) if quick else (ROUNDS, MANY)
    here = present(say)
    say(
        f"Django's test client as a superuser, each page {rounds} times, turn about, with counts of"
        " 35 days. Median and slowest, ms. *Just written* is before the database has counted and"
        " cleared up (`ANALYZE`, on PostgreSQL with `VACUUM`); the bodies of all but the newest"
        " events are short."
    )
    for database in here:
        with DATABASES[database]() as url:
            env = children.environment(url, {"RELAY": "command"})
            with children.Child(env, "benchmarks.opening", rounds, FEW, many) as pages:
                names = pages.hear()
                say("")
                say(f"| {database}: kept | {' | '.join(names)} |")
                say(f"|---|{'---:|' * len(names)}")
                while (found := pages.hear()) is not None:
                    cells = [
                        f"{statistics.median(times) / 1e6:.0f}, {max(times) / 1e6:.0f}"
                        for times in found["times"].values()
                    ]
                    say(f"| {found['kept']} | {' | '.join(cells)} |")
