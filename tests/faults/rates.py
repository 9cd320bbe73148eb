"""How fast: caps of the server's, and our own over all processes together."""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.db.models import Max

from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from tests.faults.bench import Bench, Outcome, Sandbox, wait_until
from tests.faults.frozen import fleet

_QUOTA = 30.0


def throttled(bench: Bench) -> Outcome:
    """F9. The server takes 10 calls a second of our 30: we slow down, and recover afterwards."""
    outcomes = [_throttled(bench, retry_after) for retry_after in bench.scale.of((1,), (None, 2))]
    return Outcome(
        sum(each.offered for each in outcomes),
        sum(each.received_unique for each in outcomes),
        sum(each.duplicates for each in outcomes),
        sum(each.lost for each in outcomes),
        "; ".join(each.detail for each in outcomes),
    )


def _throttled(bench: Bench, retry_after: int | None) -> Outcome:
    bench.clear()
    settling, measured = bench.scale.of((0, 0.3), (30, 60))
    offered = bench.record_many(bench.scale.of(20, 1000))
    # The short form's cap is one that a busy machine's relays exceed, too.
    cap = bench.scale.of(3, 10)
    with Sandbox(max_qps=cap, retry_after=retry_after) as sandbox, bench.children() as crew:
        relays = [crew.relay(sandbox, max_qps=_QUOTA).ready() for _ in range(2)]
        start = time.time()
        wait_until(lambda: Gate("default").look().pace.rate is not None, "a lower rate", pace=0.05)
        wait_until(lambda: time.time() > start + settling, "the adapted rate")
        worst = OutboxEvent.objects.aggregate(a=Max("server_errors"), b=Max("failures"))
        assert set(worst.values()) <= {0, None}, f"a throttle counted as a failure: {worst}"
        wait_until(lambda: time.time() > start + settling + measured, "some calls", 120)
        late = [call for call in sandbox.calls() if call.received_at > start + settling]
        refused = sum(call.status == 429 for call in late)
        if bench.scale.is_long:
            assert refused < 0.05 * len(late), f"{refused} of {len(late)} calls were throttled"
        rate = Gate("default").look().pace.rate
        assert rate is not None, "it did not slow down"
        sandbox.max_qps = None
        bench.wait_until_empty(300)
        for relay in relays:
            relay.stop()
        full = _recovery(bench, sandbox, offered)
        assert full <= 300, f"full pace only after {full} s"
        told = "no Retry-After" if retry_after is None else f"Retry-After {retry_after}"
        return bench.judge(
            sandbox,
            offered,
            f"{told}: {refused} of {len(late)} throttled after {settling} s, at"
            f" {rate / 1000:.0f}/s; full pace after {full} s more",
        )


def _recovery(bench: Bench, sandbox: Sandbox, offered: list[str]) -> int:
    """Return how many seconds it takes to the full pace, an event each now and then."""
    with fleet(sandbox, 1, ahead=0, max_qps=_QUOTA) as ships:
        for moment in range(0, 600, 10):
            offered += bench.record_many(1)
            ships.tick(moment)
            if ships.look().pace.rate is None:
                # What had to wait for its slot, or a throttle of its own, goes now.
                ships.tick(moment + 120)
                return moment
    raise AssertionError("it stays slow")


def most_in_a_second(times: Sequence[float]) -> int:
    """The most calls in any second, both ends included."""
    most, first = 0, 0
    for last, moment in enumerate(times):
        while moment - times[first] > 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def capped(bench: Bench) -> Outcome:
    """F10. Six relays under MAX_QPS = 30: never 31 calls in a second, and hardly fewer than 30."""
    offered = bench.record_many(bench.scale.of(45, 3000))
    with Sandbox() as sandbox, bench.children() as crew:
        relays = [crew.relay(sandbox, max_qps=_QUOTA) for _ in range(6)]
        for relay in relays:
            relay.ready()
        bench.wait_until_empty(300)
        for relay in relays:
            relay.stop()
        times = sorted(call.received_at for call in sandbox.calls())
        most = most_in_a_second(times)
        mean = (len(times) - 1) / (times[-1] - times[0])
        # Calls arrive as late as the machine is busy, which in everybody's tests it is.
        assert most <= _QUOTA + bench.scale.of(6, 0), f"{most} calls in a second"
        assert mean >= bench.scale.of(10, 27), f"only {mean:.1f} calls a second"
        return bench.judge(
            sandbox, offered, f"at most {most} calls in any second, {mean:.1f} in the mean"
        )
