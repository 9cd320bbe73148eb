"""The shop's clock and the database's disagree."""

from __future__ import annotations

from tests.faults.bench import Bench, Outcome, Sandbox, wait_until
from tests.faults.crashes import POLL_MAX


def wrong_clock(bench: Bench) -> Outcome:
    """F21. The clock of shop and relay is off by ten minutes: nothing waits for it."""
    offered: list[str | None] = []
    latest = 0.0
    with Sandbox() as sandbox, bench.children() as crew:
        for shift in bench.scale.of((600,), (-600, 600)):
            relay = crew.relay(sandbox, clock_shift=shift).ready()
            shop = crew.shop(clock_shift=shift)
            for event_type in bench.scale.of(("PURCHASE",), ("PURCHASE", "ITEM_PAGE_VIEW")):
                offered += shop.ask("emit", event_type, 5)
                count = len(offered)
                took = wait_until(lambda: len(sandbox.accepted()) >= count, "deliveries", 8)  # noqa: B023
                assert took < POLL_MAX + 1, f"delivered only after {took:.1f} s"
                latest = max(latest, took)
            bench.wait_until_empty()
            relay.stop()
        return bench.judge(sandbox, offered, f"10 minutes off, delivered within {latest:.1f} s")
