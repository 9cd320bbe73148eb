"""What processes take of memory: a relay over many events, and a worker whose buffer fills up."""

from __future__ import annotations

import itertools
import time

from benchmarks import children, usage
from benchmarks.databases import DATABASES, present
from benchmarks.pairs import Say
from benchmarks.serving import THREADS, Server
from benchmarks.sink import Sink

#: For the relay: how many events it has sent when it is looked at.
SENT = (1_000, *range(10_000, 100_001, 10_000))
#: For the worker: how many pages it has served, while nobody can write to the outbox.
SERVED = (0, 2_500, 5_000, 7_500, 10_000, 12_500, 15_000, 20_000)
_WARM_UP = 1_000


def main(say: Say, *, quick: bool = False) -> None:
    """Print two tables."""
    here = present(say)
    part = 50 if quick else 1
    _relays(say, here, [each // part for each in SENT])
    say("")
    _workers(say, here, [each // part for each in SERVED])


def _relays(say: Say, here: list[str], sent: list[int]) -> None:
    say(
        "MiB in memory of one relay, by how many events it has sent; answers come at once. Last a"
        " bare loop of 8 threads that post with a `requests.Session` each."
    )
    say("")
    _head(say, ["before", *(f"{each:,}" for each in sent)])
    for database in here:
        with DATABASES[database]() as url, Sink() as sink:
            env = children.environment(url, {"BASE_URL": sink.url, "RELAY": "command"})
            with children.Child(env, "benchmarks.stocking") as stock:
                stock.ask(sent[-1])
            with children.Child(env, "benchmarks.counting", *sent) as relay:
                _row(say, database, [relay.hear() for _ in range(len(sent) + 1)])
    with Sink() as sink:
        env = children.environment("sqlite://:memory:")
        with children.Child(env, "benchmarks.posting", sink.url, *sent) as loop:
            _row(say, "none: a bare loop", [loop.hear() for _ in range(len(sent) + 1)])


def _workers(say: Say, here: list[str], served: list[int]) -> None:
    say(
        f"MiB in memory of a gunicorn worker with {THREADS} threads, by how many pages with an"
        " event each it has served since the outbox was locked. The buffer holds 10,000 events,"
        " beside those that are just being written. *Written* is once the outbox was free again,"
        " *events* how many came to it then."
    )
    say("")
    _head(say, [*(f"{each:,}" for each in served), "written", "events"])
    for database in here:
        with DATABASES[database]() as url:
            # Or each page of a shopper would connect anew.
            env = children.environment(f"{url}?conn_max_age=600", {"RELAY": "command"})
            with children.Child(env, "benchmarks.visiting", THREADS) as shoppers:
                shoppers.hear()
                with Server(env) as server:
                    sizes, events = _filled(env, server, shoppers, served)
        _row(say, database, sizes, f"{events:,}")


def _filled(
    env: dict[str, str], server: Server, shoppers: children.Child, served: list[int]
) -> tuple[list[int], int]:
    word = {"port": server.port, "path": "/product/{slug}/", "gap": 0.0, "waits": False}
    shoppers.ask({**word, "pages": _WARM_UP})
    # Longer than an event waits for others in the buffer.
    time.sleep(1)
    with children.Child(env, "benchmarks.holding") as holder:
        holder.hear()
        sizes = [usage.resident(server.worker())]
        for done, next_one in itertools.pairwise(served):
            shoppers.ask({**word, "pages": next_one - done})
            sizes.append(usage.resident(server.worker()))
        events = holder.ask("let go")
    return [*sizes, usage.resident(server.worker())], events


def _head(say: Say, labels: list[str]) -> None:
    say(f"| database | {' | '.join(labels)} |")
    say(f"|---|{'---:|' * len(labels)}")


def _row(say: Say, database: str, sizes: list[int], *more: str) -> None:
    figures = [*(f"{each / 2**20:.1f}" for each in sizes), *more]
    say(f"| {database} | {' | '.join(figures)} |")
