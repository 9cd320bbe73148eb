"""
The relay: takes up events, has them posted outside of any transaction, and writes back what became
of them.

There is one for each destination. It is driven by one thread, the only one that talks to the
database: :meth:`Relay.step` does what can be done at once and says when there is more to do. The
senders only post.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.utils.crypto import salted_hmac

from django_moloco_rmp.bell import Bell
from django_moloco_rmp.claims import Claims, Turn
from django_moloco_rmp.client import EventClient
from django_moloco_rmp.conf import Destination, get_settings
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.senders import Result, Senders
from django_moloco_rmp.settlement import Settlement, Tally
from django_moloco_rmp.wire import clamp_timestamp

__all__ = ["Relay", "Tally", "client_for", "drive", "relay_for"]

logger = logging.getLogger("django_moloco_rmp")

# Seconds and results after which results are written back: they bound what a crash sends twice.
_SETTLE_SECONDS = 0.25
_SETTLE_RESULTS = 10
# Seconds between looks at the table when nothing is due, and the pace at which they grow apart.
_POLL = (1.0, 5.0)
_PRUNE_SECONDS = 3600.0
_PRUNE_MOMENT = 0.1
#: Seconds of idleness between two signs of life.
SEEN_SECONDS = 30.0


@dataclass(slots=True)
class Allowance:
    """How many events may be taken up, by all relays that share it, and how many have been."""

    most: float = math.inf
    taken: int = 0

    @property
    def left(self) -> float:
        """How many more may be."""
        return self.most - self.taken


@dataclass(slots=True)
class Activity:
    """When relays that share a connection last had an event (monotonic seconds)."""

    at: float = field(default_factory=time.monotonic)


class Relay:
    """
    Moves events from one outbox to the API.

    :param send: posts one JSON body, or raises DeliveryError
    :param gate: what this relay shares with all others; by default that of the outbox's database
    :param concurrency: the most posts at once
    :param batch_size: the most events held at a time
    :param lease: how long a claim holds, seconds
    :param send_seconds: the longest that one post may take, seconds
    :param drain_seconds: how long a stopped relay waits for what is being sent, seconds
    :param rest_seconds: how long it does not look after it has taken all there was, seconds: events
        that come one by one are then taken up together, as a look costs as much as several of them
    :param idle_seconds: after how long without an event no connection is kept, seconds
    :param max_qps: the most calls in any one second, of all relays together; None for no limit
    :param fingerprint: of what the calls are configured with; a new one is tried at once
    :param clock: milliseconds since the epoch; no timestamp later than this is sent, nor later than
        the database's time
    :param jitter: returns random numbers from 0 to 1
    :param bell: rung when there is something to do
    :param activity: shared with other relays on the same connection
    """

    def __init__(
        self,
        outbox: Outbox,
        send: Callable[[str], None],
        *,
        gate: Gate | None = None,
        concurrency: int = 8,
        batch_size: int = 50,
        lease: float = 120.0,
        send_seconds: float = 13.05,
        drain_seconds: float = 20.0,
        rest_seconds: float = 0.2,
        idle_seconds: float = 10.0,
        max_qps: float | None = None,
        fingerprint: str = "",
        dedupe_days: int = 30,
        rejected_days: int = 30,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        jitter: Callable[[], float] = random.random,
        bell: Bell | None = None,
        activity: Activity | None = None,
    ) -> None:
        self.bell = bell or Bell()
        self._activity = activity or Activity()
        self._outbox = outbox
        self._gate = gate or Gate(outbox.using, outbox.destination)
        self._post = send
        self._senders = Senders(self._send, concurrency, self.bell.ring)
        self._settlement = Settlement(outbox, self._gate, max_qps=max_qps, jitter=jitter)
        self._claims = Claims(
            outbox,
            self._gate,
            self._settlement,
            lease=lease,
            send_seconds=send_seconds,
            max_qps=max_qps,
            fingerprint=fingerprint,
            clock=clock,
        )
        self._batch_size = batch_size
        self._drain_seconds = drain_seconds
        self._rest_seconds = rest_seconds
        self._idle_seconds = idle_seconds
        self._dedupe = timedelta(days=dedupe_days)
        self._rejected = timedelta(days=rejected_days)
        self._clock = clock
        self._results: list[Result] = []
        self._settle_at = 0.0
        self._look_at = 0.0
        self._poll = _POLL[0]
        self._is_deaf = False
        self._is_paced = False
        self._until_empty = False
        self._allowance = Allowance()
        self._is_empty = False
        self._has_ended = False
        self._woken = False
        self._stopping = False
        self._drain_until = 0.0
        self._next_prune = 0.0
        self._next_sign = 0.0

    @property
    def tally(self) -> Tally:
        """What has become of events so far."""
        return self._settlement.tally

    def wake(self) -> None:
        """Look at the table now. Callable from any thread."""
        self._woken = True
        self.bell.ring()

    def stop(self) -> None:
        """
        Claim nothing more, finish what is being sent, hand back the rest.

        Callable from any thread, and from a signal handler.
        """
        self._stopping = True
        self.bell.ring()

    def begin(self, *, until_empty: bool = False, allowance: Allowance | None = None) -> None:
        """
        Get ready for :meth:`step`.

        :param until_empty: end once nothing may be sent now; what waits for a later try stays
        :param allowance: end once that is used up
        """
        self._until_empty, self._allowance = until_empty, allowance or Allowance()
        self._is_empty, self._has_ended, self._look_at = False, False, 0.0

    def run(
        self,
        *,
        until_empty: bool = False,
        max_events: int | None = None,
        seconds: float | None = None,
    ) -> Tally:
        """
        Work until :meth:`stop`.

        :param until_empty: as for :meth:`begin`
        :param max_events: return after this many events
        :param seconds: stop after so many
        :raises django.db.Error: the database failed, and ``until_empty`` is set
        """
        most = math.inf if max_events is None else max_events
        self.begin(until_empty=until_empty, allowance=Allowance(most))
        try:
            drive(self, self.bell, seconds)
        finally:
            self.close()
        return self.tally

    def close(self) -> None:
        """Let the senders end, and begin nothing more; does not wait."""
        self._senders.halt()
        self._senders.close()

    def step(self) -> float | None:
        """
        Do what can be done now, and return in how many seconds there is more to do.

        :return: None at its end; it may be asked again, and goes on if there is more by then
        :raises django.db.Error: the database failed, and the relay runs until the outbox is empty
        """
        try:
            return self._step()
        except Error:
            connection = connections[self._outbox.using]
            if not connection.in_atomic_block:
                connection.close()
            if self._until_empty:
                raise
            logger.exception(
                "The relay's database failed; its events stay as they are",
                extra={
                    "database": self._outbox.using,
                    "destination": self._outbox.destination,
                },
            )
            self._look_at = self._settle_at = time.monotonic() + _POLL[0]
            return None if self._is_over() else _POLL[0]

    def _step(self) -> float | None:
        self._collect()
        if self._stopping and not self._drain_until:
            self._drain_until = time.monotonic() + self._drain_seconds
            self._senders.halt()
            self._collect()
        if self._must_settle():
            self._settle()
        if self._may_look():
            self._look()
        had_ended, self._has_ended = self._has_ended, self._is_over()
        if not self._has_ended:
            return self._wait()
        if not had_ended:
            self._sign_off()
        return None

    def _wait(self) -> float:
        # For all else the bell is rung.
        moments = [time.monotonic() + _POLL[1]]
        if self._results:
            moments.append(self._settle_at)
        if self._stopping:
            moments.append(self._drain_until)
        elif self._has_room():
            moments.append(self._look_at)
        return max(0.0, min(moments) - time.monotonic())

    def _collect(self) -> None:
        results = self._senders.take()
        if any(each.error is not None and each.error.concerns_destination for each in results):
            self._senders.halt()
            results += self._senders.take()
        # What is handed back does not count: somebody has to take it up once more.
        self._allowance.taken -= sum(not each.was_sent for each in results)
        if results and not self._results:
            self._settle_at = time.monotonic() + _SETTLE_SECONDS
        self._results += results

    def _must_settle(self) -> bool:
        results = self._results
        if not results:
            return False
        is_plain = all(each.was_sent and each.error is None for each in results)
        return (
            not is_plain
            or not self._senders.outstanding
            or len(results) >= _SETTLE_RESULTS
            or time.monotonic() >= self._settle_at
        )

    def _settle(self) -> None:
        self._refresh()
        self._settlement.settle(self._results)
        returned = any(each.job.grant.is_probe or not each.was_sent for each in self._results)
        if returned or self._until_empty:
            # What the last look found may be so no longer: the circuit has closed, something that
            # had been handed out is due again, or others have come in the meantime.
            self._is_empty, self._look_at = False, 0.0
        self._results = []

    def _may_look(self) -> bool:
        if self._stopping or not self._has_room():
            return False
        if self._woken and not self._is_deaf:
            return True
        return time.monotonic() >= self._look_at

    def _has_room(self) -> bool:
        # Slots do not wait for a sender to be free, while other events may.
        busy = self._senders.outstanding if self._is_paced else self._senders.waiting()
        return self._wanted() > 0 and busy < self._senders.size

    def _is_over(self) -> bool:
        if self._drain_until and time.monotonic() >= self._drain_until:
            return True  # what is still on its way is covered by its lease
        if self._senders.outstanding or self._results:
            return False
        is_spent = self._allowance.left <= 0
        return self._stopping or is_spent or (self._until_empty and self._is_empty)

    def _look(self) -> None:
        self._woken = False
        self._refresh()
        turn = self._claims.look(self._wanted(), self._senders.size - self._senders.outstanding)
        now = time.monotonic()
        rests = turn.has_taken_all and not self._until_empty
        # Or each commit would ask a gate which has said when to come again, or an empty table.
        self._is_deaf = turn.is_shut or turn.is_early or rests
        self._is_empty = turn.is_idle or turn.is_shut
        self._is_paced = turn.is_paced
        if turn.jobs:
            self._allowance.taken += len(turn.jobs)
            self._poll = _POLL[0]
            self._activity.at = now
            self._senders.submit(turn.jobs)
        elif turn.is_idle:
            self._idle(now)
            turn = Turn(wait=self._poll)
            self._poll = min(self._poll * 2, _POLL[1])
        self._look_at = now + (self._rest_seconds if rests else turn.wait)

    def _refresh(self) -> None:
        connection = connections[self._outbox.using]
        # Not close_if_unusable_or_obsolete(): with CONN_MAX_AGE at its default each look would
        # open a connection of its own.
        if connection.errors_occurred and not connection.in_atomic_block:
            connection.close()

    def _wanted(self) -> int:
        free = self._batch_size - self._senders.outstanding - len(self._results)
        return int(min(free, self._allowance.left))

    def _idle(self, now: float) -> None:
        connection = connections[self._outbox.using]
        if now >= self._next_prune and self._has_pruned():
            self._next_prune = now + _PRUNE_SECONDS
        if now >= self._next_sign:
            self._sign_off()
            self._next_sign = now + SEEN_SECONDS
        if now - self._activity.at > self._idle_seconds and not connection.in_atomic_block:
            connection.close()

    def _has_pruned(self) -> bool:
        """Delete what is old, for a moment: others may be waiting. Return whether that was all."""
        end = time.monotonic() + _PRUNE_MOMENT
        for _ in self._outbox.prune(dedupe=self._dedupe, rejected=self._rejected):
            if time.monotonic() >= end:
                return False
        self._settlement.prune()
        return True

    def _sign_off(self) -> None:
        """Leave a sign of life, and what has not been counted."""
        self._gate.note(self._settlement.counts)
        self._settlement.counted()

    def _send(self, payload: str) -> None:
        self._post(clamp_timestamp(payload, self._clock() - self._claims.ahead))


class Driven(Protocol):
    """What :func:`drive` drives."""

    def step(self) -> float | None:
        """Do what can be done now; return in how many seconds to come again, None at the end."""

    def stop(self) -> None:
        """Come to an end."""


def drive(driven: Driven, bell: Bell, seconds: float | None) -> None:
    """
    Work until it has come to its end.

    :param bell: rung when there is more to do
    :param seconds: after which it is stopped; None for never
    """
    end = math.inf if seconds is None else time.monotonic() + seconds
    while (wait := driven.step()) is not None:
        left = end - time.monotonic()
        if left <= 0:
            driven.stop()
            end = math.inf
        bell.wait(min(wait, left))


def client_for(destination: Destination) -> EventClient:
    """
    Return a client for a destination's platform.

    :raises ImproperlyConfigured: the settings are at fault
    """
    try:
        return EventClient(
            destination.platform_id,
            destination.api_key,
            platform_name=destination.platform_name,
            domain_suffix=destination.domain_suffix,
            base_url=destination.base_url,
            timeout=destination.timeout,
            pool_size=destination.concurrency,
        )
    except ValueError as error:
        raise ImproperlyConfigured(f"{destination.path}: {error}.") from None


def relay_for(
    destination: Destination,
    using: str,
    *,
    client: EventClient,
    bell: Bell | None = None,
    activity: Activity | None = None,
    drain_seconds: float = 20.0,
    idle_seconds: float = 10.0,
) -> Relay:
    """
    Return a relay for a destination and the outbox of one database, as the settings have it.

    :param using: the database's alias
    :param client: what :func:`client_for` returned, closed by the caller
    :param bell: as for :class:`Relay`, and so are the others
    :raises ImproperlyConfigured: the settings are at fault
    """
    settings = get_settings()
    fingerprint = salted_hmac(__name__, f"{client.url} {destination.api_key}", algorithm="sha256")
    return Relay(
        Outbox(using, destination.name),
        client.insert_body,
        concurrency=destination.concurrency,
        batch_size=destination.batch_size,
        lease=destination.lease,
        send_seconds=client.longest_call,
        drain_seconds=drain_seconds,
        idle_seconds=idle_seconds,
        max_qps=destination.max_qps,
        fingerprint=fingerprint.hexdigest(),
        dedupe_days=settings.dedupe_days,
        rejected_days=settings.rejected_days,
        bell=bell,
        activity=activity,
    )
