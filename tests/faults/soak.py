"""F25. Everything at once, for long."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

from tests.faults.bench import Bench, Outcome, Sandbox, is_sqlite, wait_until
from tests.faults.databases import lock_database
from tests.faults.processes import Child

_QPS = 20.0
_BATCH = 10
_MOST_GROWTH = 20 * 1024 * 1024


def _memory(child: Child) -> int:
    """Bytes of a child in memory."""
    for line in Path(f"/proc/{child.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    raise AssertionError("a process without memory")


def soak(bench: Bench) -> Outcome:
    """Twenty events a second, and a fault of some kind every few seconds."""
    options: dict[str, Any] = {
        "lease": 10.0,
        "batch_size": _BATCH,
        "concurrency": 5,
        "timeout": [0.5, 0.5],
    }
    options["lose"] = {}
    seconds = bench.scale.of(3, bench.scale.soak)
    pause, outage = bench.scale.of(((0.1, 0.5), (0.2, 0.5)), ((2, 12), (1, 8)))
    done = {"killed": 0, "503": 0, "429": 0, "database": 0}
    most_duplicates = 0
    with Sandbox() as sandbox, bench.children() as crew:
        shop = crew.shop()
        elder = crew.relay(sandbox, **options).ready()
        relays = [crew.relay(sandbox, **options).ready() for _ in range(2)]
        assert shop.ask("start_selling", _QPS, bench.chance.randrange(1000))
        start = time.monotonic()
        first: dict[str, int] = {}
        told = start
        while not first or time.monotonic() < start + seconds:
            _wait(bench.chance.uniform(*pause))
            # Once everything has been loaded and used.
            if not first and time.monotonic() > start + min(60, seconds / 4):
                first = {"elder": _memory(elder), "shop": _memory(shop)}
            kind = bench.chance.choice(tuple(done))
            done[kind] += 1
            if kind == "killed":
                most_duplicates += _BATCH
                relays.pop(bench.chance.randrange(2)).kill()
                relays.append(crew.relay(sandbox, **options).ready())
            elif kind == "503":
                sandbox.fault({"status": 503, "count": None})
                _wait(bench.chance.uniform(*outage))
                sandbox.clear_faults()
            elif kind == "429":
                sandbox.fault({"status": 429, "retry_after": 1, "count": 10})
            elif is_sqlite():
                # Shorter than the shop's own patience: what it cannot bear is not ours to mend.
                most_duplicates += 3 * _BATCH
                lock_database(bench.chance.uniform(0.2, 1))
            else:
                most_duplicates += 3 * _BATCH
                for relay in (elder, *relays):
                    relay.signal(signal.SIGUSR1)
            if time.monotonic() > told + 60:
                told = time.monotonic()
                bench.say(f"{told - start:.0f} s, {len(sandbox.calls())} calls, {done}")
        sandbox.clear_faults()
        sold = shop.ask("sold")
        errors = sold["errors"]
        # A locked file is a fault of this test's own making, and locks out the shop as well.
        assert is_sqlite() or not errors, f"{len(errors)} errors in the shop: {errors[0]}"
        drained = bench.wait_until_empty(600)
        growth = {
            "elder": _memory(elder) - first["elder"],
            "shop": _memory(shop) - first["shop"],
        }
        for name, size in growth.items():
            assert size < _MOST_GROWTH, f"{name} grew by {size / 1e6:.1f} MB"
        for relay in (elder, *relays):
            relay.signal(signal.SIGTERM)
            relay.finish()
        return bench.judge(
            sandbox,
            sold["ids"],
            f"{seconds:.0f} s, {len(errors)} errors in the shop; "
            + ", ".join(f"{count} x {kind}" for kind, count in done.items())
            + f"; drained {drained:.0f} s after the end; relay's memory"
            f" {growth['elder'] / 1e6:+.1f} MB; duplicates allowed {most_duplicates}",
            most_duplicates=most_duplicates,
        )


def _wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, "the next fault", seconds + 60)
