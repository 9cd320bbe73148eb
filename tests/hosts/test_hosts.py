"""
Several hosts, cut off from each other and healed, and with wrong clocks: nothing is lost, and all
relays together keep to the limits. Run with ``-s`` each prints its row for docs/scaling.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from tests import with_service
from tests.faults.rates import most_in_a_second

# Without psycopg, of which the fixture tells.
with suppress(ImportError):
    from tests.hosts.estate import (
        DATABASE,
        MAX_QPS,
        RELAYS,
        SHOPS,
        SINK,
        Call,
        Estate,
        Outcome,
        Relay,
        wait_until,
    )

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

FIRST, SECOND = "relay-1", "relay-2"
#: Calls that a busy machine may add to a second: they start in time, and arrive late.
_BUSY = 4
#: The most that one relay holds when it disappears, each of which may be sent twice.
_BATCH = 50
_MINUTES = 600.0
#: Seconds that one of the relays is cut off from the sink at most.
_CUT = 20.0


@pytest.fixture(scope="module")
def estate() -> Iterator[Estate]:
    try:
        found = with_service.hosts()
    except with_service.MissingServiceError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set, and {error}")
        pytest.skip(str(error))
    with Estate(Path(found["HOSTS_POSTGRESQL"]), found["HOSTS_FAKETIME"]) as running:
        yield running


@pytest.fixture(autouse=True)
def anew(estate: Estate) -> None:
    estate.clear()


def cut(estate: Estate, kind: str, one: str, server: str) -> AbstractContextManager[None]:
    return getattr(estate.network, kind)(one, server)


def at_work(
    estate: Estate, stack: ExitStack, clocks: Mapping[str, float] | None = None
) -> list[Relay]:
    """
    Start both relays, and wait until each has come to the database.

    :param clocks: by how many seconds the clocks of hosts are wrong
    """
    shift = clocks or {}
    relays = [stack.enter_context(estate.relay(name, shift.get(name, 0))) for name in RELAYS]
    for name in RELAYS:
        wait_until(lambda name=name: estate.held_by(name), f"{name} is at work")
    return relays


def show(name: str, outcome: Outcome, detail: str) -> None:
    """Print a row of the table, and hold what is the same in each of them."""
    times = [call.received_at for call in outcome.calls]
    most = most_in_a_second(times)
    print(
        f"\n| {name} | {outcome.offered} | {outcome.received} | {outcome.duplicates}"
        f" | {outcome.lost} | {most} | {detail} |"
    )
    assert most <= MAX_QPS + _BUSY, f"{most} calls in a second"
    assert outcome.ahead <= 0.1, f"an event is {outcome.ahead:.2f} s ahead of the true time"


def longest_gap(calls: list[Call], since: float) -> float:
    """Seconds of the longest silence at the sink from a moment on."""
    moments = [since, *(call.received_at for call in calls if call.received_at > since)]
    return max(b - a for a, b in pairwise(moments))


@pytest.mark.parametrize("kind", ["silent", "refused"])
def test_a_relay_is_cut_off_from_the_database_while_it_holds_leases(
    estate: Estate, kind: str
) -> None:
    """The other one carries on alone, also with those leases once they end; then both send."""
    with ExitStack() as stack:
        shops = stack.enter_context(estate.people(*SHOPS))
        first = stack.enter_context(estate.relay(FIRST))
        wait_until(lambda: estate.held_by(FIRST), "the first relay is at work")
        # Answers take long, so that there are leases whenever one looks.
        estate.sink.ask("fault", {"delay": 0.6, "count": None})
        for shop in shops:
            shop.ask("buy", 60)
        wait_until(lambda: estate.arrived() >= 5 and estate.leased() >= 2, "it holds leases")
        second = stack.enter_context(estate.relay(SECOND))
        wait_until(lambda: estate.held_by(SECOND), "the second relay is at work")
        # Both are in the middle of it.
        wait_until(lambda: estate.arrived() >= 25, "some calls")
        with cut(estate, kind, FIRST, DATABASE):
            start = time.time()
            wait_until(lambda: not estate.pending(), "the other relay sends all of it")
            alone = time.time() - start
            noticed = wait_until(
                lambda: "The relay's database failed" in first.log(), "it is noticed"
            )
            assert "The relay's database failed" not in second.log()
        noticed += alone
        gap = longest_gap(estate.calls(), start)
        estate.sink.ask("clear_faults")
        second.stop()
        shops[0].ask("buy", 3)
        back = wait_until(lambda: not estate.pending(), "the first relay is back")
        first.stop()
        outcome = estate.judge(shops)
    assert outcome.duplicates <= _BATCH
    show(
        f"relay-1 without database, {kind}",
        outcome,
        f"relay-2 sent the rest in {alone:.1f} s, at most {gap:.1f} s apart;"
        f" failure noticed within {noticed:.1f} s; relay-1 sends {back:.1f} s after healing",
    )


@pytest.mark.parametrize("kind", ["silent", "refused"])
def test_a_relay_that_vanishes_with_the_gate_locked_is_let_go(estate: Estate, kind: str) -> None:
    """The server's end of a lost connection holds its locks until the server notices."""
    with ExitStack() as stack:
        shops = stack.enter_context(estate.people(SHOPS[0]))
        first = stack.enter_context(estate.relay(FIRST))
        # Makes the gate's row.
        shops[0].ask("buy", 1)
        wait_until(lambda: estate.arrived() == 1 and not estate.pending(), "the first event")
        blocker = stack.enter_context(estate.another_session())
        blocker.execute("UPDATE moloco_rmp_gate SET touched = touched")
        shops[0].ask("buy", 5)
        wait_until(lambda: estate.wants_a_lock(FIRST), "the first relay wants the gate")
        stack.enter_context(estate.relay(SECOND))
        wait_until(lambda: estate.wants_a_lock(SECOND), "the second relay, too")
        with cut(estate, kind, FIRST, DATABASE):
            blocker.commit()
            took = wait_until(lambda: estate.arrived() == 6, "the second relay has the gate")
        wait_until(lambda: not estate.pending(), "it is written back")
        first.stop()
        outcome = estate.judge(shops)
    show(
        f"relay-1 vanishes with the gate locked, {kind}",
        outcome,
        f"relay-2 got the gate, and sent all, after {took:.1f} s",
    )


@pytest.mark.parametrize("kind", ["silent", "refused"])
def test_a_relay_is_cut_off_from_the_sink(estate: Estate, kind: str) -> None:
    """Its failures are everybody's, for they share the circuit; a probe of the other one ends them.

    Which of them probes is chance, so the cut may last until it is healed.
    """
    with ExitStack() as stack:
        shops = stack.enter_context(estate.people(*SHOPS))
        relays = at_work(estate, stack)
        with cut(estate, kind, SECOND, SINK):
            start = time.monotonic()
            for shop in shops:
                shop.ask("buy", 10)
                shop.ask("browse", 10)
            wait_until(estate.failures, "the circuit is not closed")
            wait_until(
                lambda: not estate.failures() or time.monotonic() > start + _CUT,
                "a probe of the other relay, or the end of patience",
            )
            is_closed = not estate.failures()
            lasted = time.monotonic() - start
        took = wait_until(lambda: estate.arrived() >= 40 and not estate.pending(), "all", 120)
        for relay in relays:
            relay.stop()
        outcome = estate.judge(shops)
    ended = "ended by relay-1's probe" if is_closed else "relay-2 took each probe"
    show(
        f"relay-2 without sink, {kind}",
        outcome,
        f"{ended}, {lasted:.1f} s; all sent {took:.1f} s after healing",
    )


def test_a_shop_is_cut_off_from_the_database(estate: Estate) -> None:
    """Its page views wait in memory; its purchases fail in its face, as its own rows do."""
    with ExitStack() as stack:
        shops = stack.enter_context(estate.people(*SHOPS))
        relays = [stack.enter_context(estate.relay(name)) for name in RELAYS]
        one, other = shops
        for shop in shops:
            shop.ask("open", 4, 2)
        wait_until(lambda: estate.arrived() >= 10, "some events")
        with estate.network.unplugged(SHOPS[0]):
            start = time.time()
            before = [shop.ask("count") for shop in shops]
            wait_until(lambda: one.ask("count")["failed"] >= 2, "two purchases fail")
            # It goes on looking at pages all the while.
            wait_until(lambda: one.ask("count")["looked"] >= before[0]["looked"] + 12, "page views")
            during = [shop.ask("count") for shop in shops]
            lasted = time.time() - start
        looked = during[0]["looked"] - before[0]["looked"]
        wait_until(lambda: one.ask("count")["took"] > during[0]["took"] + 2, "it sells again")
        for shop in shops:
            shop.ask("close")
        errors = other.ask("count")["failed"]
        outcome = estate.judge(shops)
        for relay in relays:
            relay.stop()
    assert errors == 0, "the other shop has not noticed"
    assert during[1]["committed"] > before[1]["committed"]
    assert set(outcome.failed) == {"OperationalError"}
    slowest = 1000 * max(outcome.looked)
    assert slowest < 1000, f"a page view took {slowest:.0f} ms"
    show(
        "shop-1 without database, unplugged",
        outcome,
        f"for {lasted:.1f} s; {looked} page views waited, none took more than {slowest:.0f} ms;"
        f" {len(outcome.failed)} purchases failed, after {max(outcome.took):.1f} s at most",
    )


def test_the_sink_is_cut_off_from_everybody(estate: Estate) -> None:
    """An outage: after the first failures one probe at a time, of the two relays together."""
    with ExitStack() as stack:
        shops = stack.enter_context(estate.people(*SHOPS))
        relays = at_work(estate, stack)

        def failed() -> int:
            return sum(relay.log().count("Event not delivered") for relay in relays)

        with estate.network.unplugged(SINK):
            for shop in shops:
                shop.ask("buy", 20)
                shop.ask("browse", 20)
            moments = []
            for number in (1, 2, 3):
                wait_until(lambda n=number: estate.failures() >= n, f"failure {number}")
                moments.append(time.time())
                # Those that were on their way together count as one: wait for the last of them.
                wait_until(lambda then=moments[-1]: time.time() > then + 3, "the onset is over")
                if number == 1:
                    onset = failed()
            probes = failed() - onset
        took = wait_until(lambda: not estate.pending(), "all of it is sent", 90)
        for relay in relays:
            relay.stop()
        outcome = estate.judge(shops)
    gaps = [late - early for early, late in pairwise(moments)]
    assert 1 <= onset <= 2 * 8, f"{onset} calls at the onset"
    assert probes == 2, f"{probes} probes for two failures"
    for gap, least in zip(gaps, (5, 10), strict=True):
        assert least - 0.2 <= gap <= 1.1 * least + 2 + 3, f"waited {gap:.1f} s instead of {least}"
    show(
        "the sink, unplugged",
        outcome,
        f"onset {onset} calls, then one after {', one after '.join(f'{g:.1f} s' for g in gaps)};"
        f" all sent {took:.1f} s after healing",
    )


def test_clocks_are_ten_minutes_off(estate: Estate) -> None:
    """Through an outage and after it: nothing is dated ahead, and nothing waits for a clock."""
    clocks = {SHOPS[0]: _MINUTES, FIRST: -_MINUTES, SECOND: _MINUTES}
    with ExitStack() as stack:
        shops = stack.enter_context(estate.people(*SHOPS, clocks=clocks))
        shifts = [shop.ask("clock") - time.time() for shop in shops]
        assert shifts == pytest.approx([_MINUTES, 0], abs=5)
        relays = at_work(estate, stack, clocks)
        estate.sink.ask("fault", {"status": 503, "count": None})
        for shop in shops:
            shop.ask("browse", 50)
            shop.ask("buy", 30)
        wait_until(estate.calls, "the first call")
        start = estate.calls()[0].received_at

        def later() -> list[float]:
            return [each.received_at for each in estate.calls() if each.received_at > start + 4]

        wait_until(later, "the first probe")
        estate.sink.ask("clear_faults")
        took = wait_until(lambda: not estate.pending(), "all of it is sent", 90)
        for relay in relays:
            relay.stop()
        outcome = estate.judge(shops)
    onset = sum(call.received_at <= start + 4 for call in outcome.calls)
    assert onset <= 2 * 8
    first, second = later()[:2]
    gaps = [first - start, second - first]
    for gap, least in zip(gaps, (5, 10), strict=True):
        assert least <= gap <= 1.1 * least + 2 + 3, f"waited {gap:.1f} s instead of {least}"
    accepted = [call for call in outcome.calls if call.status == 200]
    rate = (len(accepted) - 2) / (accepted[-1].received_at - accepted[1].received_at)
    behind = sum(call.timestamp < call.received_at - _MINUTES / 2 for call in accepted)
    assert 0 < behind < len(accepted), "both relays have sent some"
    show(
        "clocks ten minutes off",
        outcome,
        f"503: onset {onset} calls, then one after {gaps[0]:.1f} s, the next {gaps[1]:.1f} s later;"
        f" {rate:.1f} calls a second then, all sent within {took:.1f} s;"
        f" none dated later than {1000 * outcome.ahead:.0f} ms after its arrival, {behind} dated"
        " back by relay-1's clock",
    )
