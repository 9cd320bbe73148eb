"""What an event costs the database's server itself: its CPU, of all its processes together."""

from __future__ import annotations

import statistics

from benchmarks import children, usage
from benchmarks.databases import DATABASES, present
from benchmarks.pairs import Say
from benchmarks.sink import Sink

ROUNDS = 5
#: The kernel counts CPU in hundredths of a second: fewer would cost none.
EVENTS = 5000
#: How the servers' processes are named.
_NAMES = {"PostgreSQL": ("postgres",), "MariaDB": ("mariadbd", "mysqld")}
_LOADS = ("orders", "purchases", "buffered", "relayed")
_TEXTS = {
    "purchases": "recorded in the shop's transaction, beyond the order's own cost",
    "buffered": "recorded by the buffer, 500 at a time",
    "relayed": "claimed and deleted by a relay",
}


def _burden(shop: children.Child, database: str, load: str, events: int) -> float:
    """Return the microseconds of the server's CPU for each event."""
    shop.ask(["stock", events])
    before = usage.named(*_NAMES[database])
    shop.ask([load, events])
    return (usage.named(*_NAMES[database]) - before) * 1_000_000 / events


def main(say: Say, *, quick: bool = False) -> None:
    """Print a table."""
    rounds, events = (1 if quick else ROUNDS), EVENTS
    here = present(say, tuple(_NAMES))
    say(
        f"CPU of the database's server for {events} events, all its processes together, but none of"
        f" the application's; medians of {rounds} rounds, turn about."
    )
    say("")
    say("| database | an event | CPU of the server, us | events that one core carries a second |")
    say("|---|---|---:|---:|")
    for database in here:
        with DATABASES[database]() as url, Sink() as sink:
            env = children.environment(url, {"BASE_URL": sink.url, "RELAY": "command"})
            with children.Child(env, "benchmarks.loading") as shop:
                found: dict[str, list[float]] = {load: [] for load in _LOADS}
                for number in range(rounds):
                    for load in _LOADS if number % 2 else _LOADS[::-1]:
                        found[load].append(_burden(shop, database, load, events))
        costs = {load: statistics.median(values) for load, values in found.items()}
        costs["purchases"] -= costs["orders"]
        for load, text in _TEXTS.items():
            say(f"| {database} | {text} | {costs[load]:.0f} | {1_000_000 / costs[load]:,.0f} |")
