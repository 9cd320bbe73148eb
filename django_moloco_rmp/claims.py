"""
Claims: what a relay may take up now, and else when to look again.

A look asks the outbox whether anything is due, then the gate, and takes events under a lease, each
with the slot in which its post may start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.outbox import Claimed, Lease, Outbox
from django_moloco_rmp.pace import SLOT, Slots
from django_moloco_rmp.protocol import SECOND
from django_moloco_rmp.readings import Reading, Readings
from django_moloco_rmp.senders import Grant, Job
from django_moloco_rmp.settlement import Settlement

# Seconds between looks at a gate that is shut, which somebody may open.
_POLL_SHUT = 2.0
# Seconds kept free at the end of a lease, to write the last results back; or that part of a short
# one, in which else nothing could ever begin.
_MARGIN = 5.0
_MARGIN_PART = 0.25
# Milliseconds that the database's clock may seem behind because of the time it takes to ask.
_ASKING = 50
# Seconds within which a probe has to start.
_PROBE_START = 2.0


@dataclass(frozen=True, slots=True)
class Turn:
    """
    What a look brought: jobs, or how long to wait.

    ``is_idle`` if nothing is due, ``is_shut`` if the circuit lets nothing through, ``is_early`` if
    the next slot is too far ahead, ``is_paced`` if there are slots at all, ``has_taken_all`` if
    nothing more is due. ``began`` is when the gate's time was read (monotonic).
    """

    jobs: tuple[Job, ...] = ()
    wait: float = 0.0
    is_idle: bool = False
    is_shut: bool = False
    is_early: bool = False
    is_paced: bool = False
    has_taken_all: bool = False
    began: float = 0.0


class Claims:
    """
    Takes up events for one relay.

    :param settlement: of the same relay: it has counts for the gate, and is told how that is
    :param lease: how long a claim holds, seconds
    :param send_seconds: the longest that one post may take, seconds
    :param max_qps: the most calls in any one second, of all relays together; None for no limit
    :param fingerprint: of what the calls are configured with; a new one is tried at once
    :param clock: milliseconds since the epoch
    """

    def __init__(
        self,
        outbox: Outbox,
        gate: Gate,
        settlement: Settlement,
        *,
        lease: float,
        send_seconds: float,
        max_qps: float | None,
        fingerprint: str,
        clock: Callable[[], int],
    ) -> None:
        #: Milliseconds by which that clock is ahead of the database's, as of the last look.
        self.ahead = 0
        self._outbox = outbox
        self._gate = gate
        self._settlement = settlement
        self._lease = lease
        self._margin = min(_MARGIN, lease * _MARGIN_PART)
        # With a time-out that fills the lease a late answer may come too late; nothing would be
        # worse.
        self._hold = max(lease - send_seconds - self._margin, lease * _MARGIN_PART)
        self._send_seconds = send_seconds
        self._max_qps = max_qps
        self._fingerprint = fingerprint
        self._clock = clock
        self._is_known = False
        # Whether the last look got all it wanted, so that more are due, as a rule.
        self._expects_more = False
        self._claim_seconds = 0.0
        self._readings = Readings()

    def look(self, wanted: int, free: int) -> Turn:
        """
        Take up to ``wanted`` events.

        :param free: how many posts could start now; where there are slots no more are taken
        :raises django.db.Error: nothing was taken
        """
        if not self._expects_more and not self._outbox.has_due():
            return Turn(is_idle=True)
        turn = self._gate.change(partial(self._decide, wanted, free))
        self._expects_more = len(turn.jobs) >= wanted
        self._is_known = True
        self._settlement.counted()
        if turn.jobs:
            self._claim_seconds = time.monotonic() - turn.began
        return turn

    def _decide(self, wanted: int, free: int, held: Held) -> Turn:
        """Claim what the gate allows. Repeatable, as the database's transaction may have to be."""
        ahead = self._clock() - held.now // 1000
        self.ahead = ahead if ahead > _ASKING else 0
        held.notes |= {"relay_seen_at": held.now, **self._settlement.counts(held.now)}
        if not self._is_known and held.fingerprint != self._fingerprint:
            held.notes["fingerprint"] = self._fingerprint
            held.circuit = held.circuit.probing(held.now)
        reading = self._readings.closest(Reading(held.now, held.read_at, held.read_by))
        held.pace = held.pace.raised(held.now)
        self._settlement.watch(held)
        permit = held.circuit.permit(held.now, wanted)
        if not permit.calls:
            return Turn(wait=min(permit.wait / SECOND, _POLL_SHUT), is_shut=True)
        # Where the database is far away, slots for now would be over before the claim is made.
        soon = held.now + int(self._claim_seconds * SECOND)
        slots = held.pace.slots(soon, permit.calls, self._max_qps)
        if slots.interval and slots.count:
            # Slots that nobody is free to use would pass by.
            slots = Slots(min(slots.count, max(1, free)), slots.first, slots.interval)
        if not slots.count:
            return Turn(wait=slots.wait / SECOND, is_early=True, is_paced=True)
        lease = self._outbox.claim(slots.count, timedelta(seconds=self._lease))
        events = self._without_waiting(held, lease)
        if not events:
            return Turn(is_idle=not lease.events)
        held.circuit = held.circuit.taken(held.now, permit, self._send_seconds + self._margin)
        held.pace = held.pace.taken(held.now, slots, len(events))
        hold = _PROBE_START if permit.is_probe else self._hold
        grant = Grant(
            lease.token,
            held.circuit.generation,
            held.now,
            held.read_at + hold,
            permit.is_probe,
        )
        return Turn(
            tuple(_job(event, grant, reading, slots, n) for n, event in enumerate(events)),
            is_paced=bool(slots.interval),
            has_taken_all=len(lease.events) < slots.count,
            began=held.read_at,
        )

    def _without_waiting(self, held: Held, lease: Lease) -> list[Claimed]:
        """Hand back events of identifiers that were throttled and have to wait."""
        events: list[Claimed] = []
        waiting: dict[int, list[Claimed]] = {}
        for event in lease.events:
            wait = held.pace.waits(held.now, event.identifier)
            (waiting.setdefault(wait, []) if wait else events).append(event)
        for wait, late in waiting.items():
            self._outbox.release(lease.token, late, timedelta(microseconds=wait))
        return events


def _job(event: Claimed, grant: Grant, reading: Reading, slots: Slots, number: int) -> Job:
    if not slots.interval:
        return Job(event, grant, 0.0, grant.start_before)
    # Not before it is sure: an early call would crowd those before it. The doubt is part of the
    # slot, but leaves half of it where the database is far away.
    start = reading.latest(slots.first + number * slots.interval)
    late = SLOT / SECOND - min(reading.doubt, SLOT / SECOND / 2)
    return Job(event, grant, start, min(start + late, grant.start_before))
