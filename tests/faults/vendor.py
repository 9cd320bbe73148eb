"""The vendor's server fails, refuses, or is not heard: its failure protocol, to the second."""

from __future__ import annotations

import time
from collections.abc import Sequence

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.protocol import POISON, Reason
from django_moloco_rmp.protocol import State as CircuitState
from django_moloco_rmp.signals import circuit_changed
from tests.faults.bench import Bench, Outcome, Sandbox, State, wait_until
from tests.faults.frozen import Fleet, fleet

_RELAYS = 3
_CONCURRENCY = 8
# Seconds after the first failure at which the vendor wants retries: waits of 5, 10, 20, 40, 80 s.
_RETRIES = (5, 15, 35, 75, 155)
_PROBE_INTERVAL = 900


def _timetable(until: int) -> list[int]:
    """When calls are made in an outage that lasts: the retries, then a probe in 15 minutes."""
    probes = range(_RETRIES[-1] + _PROBE_INTERVAL, until, _PROBE_INTERVAL)
    return [moment for moment in (*_RETRIES, *probes) if moment < until]


def _ticks(until: int, step: int) -> list[int]:
    """Moments to look at, those just before and just after a call is due among them."""
    near = {moment + shift for moment in _timetable(until + 1) for shift in (-1, 0, 1)}
    return sorted(near | set(range(0, until + 1, step)))


def _outage(bench: Bench, ships: Fleet, ticks: Sequence[int]) -> tuple[int, list[int]]:
    """Let time pass; return how many calls the onset took, and when each later one was made."""
    onset = ships.tick(0)
    assert 1 <= onset <= _RELAYS * _CONCURRENCY, f"{onset} calls at the onset"
    moments: list[int] = []
    for number, moment in enumerate(ticks):
        moments += [moment] * ships.tick(moment)
        if number % 500 == 499:
            bench.say(f"{moment} s of the outage")
    return onset, moments


def _recover(ships: Fleet, bench: Bench, start: int) -> int:
    """Tick until nothing is pending; return when that was."""
    for moment in range(start, start + 3 * _PROBE_INTERVAL, 5):
        ships.tick(moment)
        if not bench.pending():
            return moment
    raise AssertionError("the backlog does not drain")


def short_outage(bench: Bench) -> Outcome:
    """F5. 503 for a minute, three relays: one call for each step of the protocol."""
    offered = bench.record_many(bench.scale.of(60, 500))
    with Sandbox() as sandbox, fleet(sandbox, _RELAYS, concurrency=_CONCURRENCY) as ships:
        sandbox.fault({"status": 503, "count": None})
        onset, moments = _outage(bench, ships, range(1, 60, bench.scale.of(2, 1)))
        assert moments == [5, 15, 35], moments
        sandbox.clear_faults()
        assert not any(ships.tick(moment) for moment in range(60, 75, 3)), "a call before its time"
        assert ships.tick(75) >= 1
        assert ships.look().circuit.state is CircuitState.CLOSED
        drained = _recover(ships, bench, 76)
        return bench.judge(
            sandbox, offered, f"onset {onset} calls, then at 5, 15, 35 s; drained at {drained} s"
        )


def outage_in_real_time(bench: Bench) -> Outcome:
    """F5, on the real clock: three relay processes, and 503 for a minute."""
    offered = bench.record_many(500)
    with Sandbox() as sandbox, bench.children() as crew:
        sandbox.fault({"status": 503, "count": None})
        relays = [crew.relay(sandbox).ready() for _ in range(_RELAYS)]
        wait_until(sandbox.calls, "the first call")
        start = sandbox.calls()[0].received_at
        # Three waits, each with its jitter, have passed; the fourth has not.
        wait_until(lambda: _later(sandbox, start)[2:], "three retries")
        wait_until(lambda: time.time() >= start + 60, "the end of the outage", 90)
        moments = _later(sandbox, start)
        sandbox.clear_faults()
        bench.wait_until_empty(120)
        for relay in relays:
            relay.stop()
        gaps = [late - early for early, late in zip([0.0, *moments], moments, strict=False)]
        assert len(gaps) == 3, gaps
        for gap, least in zip(gaps, (5, 10, 20), strict=True):
            assert least <= gap <= least + 1 + 2.5, f"waited {gap:.1f} s instead of {least}"
        onset = len([call for call in sandbox.calls() if call.received_at < start + 4])
        assert onset <= _RELAYS * _CONCURRENCY
        return bench.judge(
            sandbox,
            offered,
            f"onset {onset} calls, waits " + ", ".join(f"{gap:.1f}" for gap in gaps),
        )


def _later(sandbox: Sandbox, start: float) -> list[float]:
    """Seconds after the start of the calls that are not of the onset."""
    return [call.received_at - start for call in sandbox.calls() if call.received_at >= start + 4]


def long_outage(bench: Bench) -> Outcome:
    """F6. 503 for two hours: five retries, then one probe in 15 minutes of all relays together."""
    until = 7200
    offered = bench.record_many(bench.scale.of(60, 500))
    with Sandbox() as sandbox, fleet(sandbox, _RELAYS, concurrency=_CONCURRENCY) as ships:
        sandbox.fault({"status": 503, "count": None})
        step = bench.scale.of(600, 5)
        onset, moments = _outage(bench, ships, [each for each in _ticks(until, step) if each])
        assert moments == _timetable(until), moments
        circuit = ships.look().circuit
        assert (circuit.state, circuit.reason) == (CircuitState.OPEN, Reason.SERVER)
        assert bench.pending() == len(offered)
        sandbox.clear_faults()
        end = _timetable(until + _PROBE_INTERVAL)[-1]
        assert not ships.tick(end - 1)
        assert ships.tick(end) >= 1
        assert ships.look().circuit.state is CircuitState.CLOSED
        _recover(ships, bench, end + 1)
        assert not OutboxEvent.objects.exists()
        hour = [moment for moment in moments if moment <= 3600]
        return bench.judge(
            sandbox,
            offered,
            f"onset {onset} calls; in the first hour at {', '.join(map(str, hour))} s; "
            f"{len(moments)} calls in two hours",
        )


def eight_in_flight(bench: Bench) -> Outcome:
    """F7. Eight calls on their way fail together: that is one failure."""
    offered = bench.record_many(20)
    with Sandbox() as sandbox, fleet(sandbox, 1, concurrency=8) as ships:
        sandbox.fault({"status": 503, "delay": 0.6, "count": 8})
        assert ships.tick(0) == 8
        circuit = ships.look().circuit
        assert (circuit.failures, circuit.state) == (1, CircuitState.BACKOFF)
        _recover(ships, bench, 5)
        return bench.judge(sandbox, offered, "8 failed calls, failures = 1")


def killed_prober(bench: Bench) -> Outcome:
    """F8. The relay whose turn it is to probe is killed: the next one does, and never two."""
    rounds = bench.scale.of(1, 5)
    # The probe holds the line for its call's longest time, and a quarter of the lease.
    timeout, lease, poll = [0.3, 0.3], bench.scale.of(1.2, 4.0), 2.0
    hold = sum(timeout) + lease / 4
    waits = []
    offered: list[str] = []
    with Sandbox() as sandbox, bench.children() as crew:
        gate = Gate("default")
        for _ in range(rounds):
            offered += bench.record_many(20)
            gate.change(_fail_now)
            before = len(sandbox.calls())
            # Held back until long after its caller is dead.
            sandbox.fault({"delay": 600, "drop": "before"})
            options = {"lease": lease, "timeout": timeout}
            prober = crew.relay(sandbox, **options)
            wait_until(lambda: len(sandbox.calls()) == before + 1, "a probe")  # noqa: B023
            prober.kill()
            others = [crew.relay(sandbox, **options) for _ in range(2)]
            bench.wait_until_empty()
            for other in others:
                other.stop()
            first, second = [call.received_at for call in sandbox.calls()[before:]][:2]
            waits.append(second - first)
            # By the database's clock the line was held to the moment.
            assert hold - 0.1 <= second - first <= hold + poll + 2, f"{second - first:.2f} s"
        return bench.judge(
            sandbox,
            offered,
            f"next probe after {max(waits):.1f} s at most, the line is held for {hold:g} s",
        )


def _fail_now(held: Held) -> None:
    circuit = held.circuit.failed(held.now, held.circuit.generation, 0.0)
    held.circuit = circuit.probing(held.now)


def refused_events(bench: Bench) -> Outcome:
    """F11. 400 for one event in a hundred: exactly those are kept, to the byte."""
    count = bench.scale.of(200, 2000)
    offered = bench.record_many(count)
    bad = set(bench.chance.sample(offered, count // 100))
    payloads = dict(OutboxEvent.objects.filter(event_id__in=bad).values_list("event_id", "payload"))
    with Sandbox() as sandbox, bench.children() as crew:
        for event_id in bad:
            sandbox.fault({"status": 400, "id": event_id, "count": None})
        crew.relay(sandbox, run={"until_empty": True}).ready().finish()
        rejected = OutboxEvent.objects.filter(state=State.REJECTED)
        assert dict(rejected.values_list("event_id", "payload")) == payloads
        assert {call.event_id for call in sandbox.accepted()} == set(offered) - bad
        sandbox.clear_faults()
        rejected.update(state=State.PENDING, available_at=DatabaseNow(), finished_at=None)
        crew.relay(sandbox, run={"until_empty": True}).ready().finish()
        again = [call for call in sandbox.accepted() if call.event_id in bad]
        assert {call.event_id: call.content.decode() for call in again} == payloads
        return bench.judge(sandbox, offered, f"{len(bad)} rejected, sent again after the repair")


def wrong_key(bench: Bench) -> Outcome:
    """F12. 401 for everything: a handful of calls, every event kept, all sent with a new key."""
    offered = bench.record_many(bench.scale.of(200, 1000))
    options = {"concurrency": _CONCURRENCY, "run": {"until_empty": True}}
    with Sandbox() as sandbox, bench.children() as crew:
        sandbox.fault({"status": 401, "count": None})
        both = [crew.relay(sandbox, fingerprint="old key", **options) for _ in range(2)]
        for relay in both:
            relay.ready().finish()
        calls = len(sandbox.calls())
        assert calls <= 2 * _CONCURRENCY, f"{calls} calls with a key that is refused"
        circuit = Gate("default").look().circuit
        assert (circuit.state, circuit.reason) == (CircuitState.OPEN, Reason.CONFIGURATION)
        assert bench.pending() == len(offered)
        # The same settings again change nothing.
        crew.relay(sandbox, fingerprint="old key", **options).ready().finish()
        assert len(sandbox.calls()) == calls
        sandbox.clear_faults()
        crew.relay(sandbox, fingerprint="new key", **options).ready().finish()
        assert not bench.pending()
        return bench.judge(sandbox, offered, f"{calls} calls with the refused key, 0 rejected")


def poison(bench: Bench) -> Outcome:
    """F13. One event always meets 500 while others succeed: it alone is put aside."""
    offered: list[str] = []
    with Sandbox() as sandbox, fleet(sandbox, 1) as ships:
        (bad,) = bench.record_many(1)
        sandbox.fault({"status": 500, "id": bad, "count": None})
        row = OutboxEvent.objects.filter(event_id=bad)
        states: list[str] = []

        def note(state: str, **_: object) -> None:
            states.append(state)

        circuit_changed.connect(note)
        for moment in range(0, 3600, 4):
            offered += bench.record_many(1)
            ships.tick(moment)
            if row.get().state == State.REJECTED:
                break
        else:
            raise AssertionError("it is tried for ever")
        circuit_changed.disconnect(note)
        tries = sum(call.event_id == bad for call in sandbox.calls())
        assert row.get().last_error.startswith("poison"), row.get().last_error
        assert CircuitState.OPEN not in states
        closed = states.count(CircuitState.CLOSED)
        assert closed >= POISON - 1, f"the circuit closed {closed} times"
        _recover(ships, bench, moment + 5)
        assert {call.event_id for call in sandbox.accepted()} == set(offered)
        outcome = bench.judge(
            sandbox, [bad, *offered], f"rejected after {tries} tries in {moment} s"
        )
        assert tries >= POISON
        return outcome


def lost_answers(bench: Bench) -> Outcome:
    """F14. Events are accepted and the answer is lost: sent again as the same event."""
    rounds = bench.scale.of(1, 10)
    offered: list[str] = []
    with (
        Sandbox() as sandbox,
        fleet(sandbox, 1, concurrency=4, timeout=(3.0, 0.3)) as ships,
    ):
        moment = lost = 0
        for _ in range(rounds):
            for fault in ({"drop": "after", "delay": 0.2}, {"delay": 2}):
                sandbox.fault({**fault, "count": None})
                offered += bench.record_many(20)
                # All that begin before the first is given up.
                lost += ships.tick(moment)
                sandbox.clear_faults()
                moment = _recover(ships, bench, moment + 5) + 5
        bodies: dict[str | None, set[bytes]] = {}
        for call in sandbox.accepted():
            bodies.setdefault(call.event_id, set()).add(call.content)
        assert {len(each) for each in bodies.values()} == {1}, "a repeat is another event"
        outcome = bench.judge(sandbox, offered, f"{lost} answers lost", most_duplicates=lost)
        assert outcome.duplicates == lost >= 2 * rounds
        assert outcome.received_unique == outcome.offered
        return outcome
