"""
The relay: claims events under a lease, posts them outside of any transaction, writes back what
became of them.

One thread, the one that calls :meth:`Relay.run`, talks to the database. The senders only post.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections

from django_moloco_rmp import signals
from django_moloco_rmp.client import EventClient
from django_moloco_rmp.conf import get_settings
from django_moloco_rmp.exceptions import DeliveryError, NetworkError
from django_moloco_rmp.outbox import Claimed, Lease, Outbox
from django_moloco_rmp.protocol import retry_wait
from django_moloco_rmp.wire import clamp_timestamp

logger = logging.getLogger("django_moloco_rmp")

# Seconds and results after which results are written back: they bound what a crash sends twice.
_SETTLE_SECONDS = 0.25
_SETTLE_RESULTS = 10
# Seconds between looks at the table when nothing is due, and the pace at which they grow apart.
_POLL = (1.0, 5.0)
# Seconds kept free at the end of a lease, to write the last results back.
_MARGIN = 5.0
_PRUNE_SECONDS = 3600.0


@dataclass(slots=True)
class Tally:
    """What a relay has done with events so far."""

    delivered: int = 0
    rescheduled: int = 0
    rejected: int = 0
    released: int = 0


@dataclass(frozen=True, slots=True)
class _Result:
    event: Claimed
    error: DeliveryError | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    lease: Lease
    deadline: float
    results: queue.SimpleQueue[_Result] = field(default_factory=queue.SimpleQueue)


class Senders:
    """
    A bounded pool of daemon threads that post events.

    Daemons, unlike those of ``concurrent.futures``: a server that hangs must not hold up the exit
    of the process; the lease covers what was on its way.
    """

    def __init__(self, send: Callable[[str], None], size: int) -> None:
        self._send = send
        self._size = size
        self._jobs: queue.SimpleQueue[tuple[Claimed, _Batch] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, batch: _Batch) -> None:
        """Queue the events of a batch; results appear in ``batch.results``."""
        while len(self._threads) < min(self._size, len(batch.lease.events)):
            thread = threading.Thread(target=self._work, name="moloco-sender", daemon=True)
            thread.start()
            self._threads.append(thread)
        for event in batch.lease.events:
            self._jobs.put((event, batch))

    def withdraw(self) -> list[Claimed]:
        """Take back the events that no thread has started on."""
        events = []
        with suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                events += [] if job is None else [job[0]]
        return events

    def close(self) -> None:
        """Let each thread end after what it is doing; does not wait."""
        for _ in self._threads:
            self._jobs.put(None)
        self._threads.clear()

    def _work(self) -> None:
        while job := self._jobs.get():
            event, batch = job
            batch.results.put(_Result(event, self._attempt(event)))

    def _attempt(self, event: Claimed) -> DeliveryError | None:
        try:
            self._send(event.payload)
        except DeliveryError as error:
            return error
        except Exception as error:
            # A fault of ours must neither lose the event nor leave the relay waiting for it.
            logger.exception("Sending failed in an unforeseen way")
            return NetworkError(f"unforeseen {type(error).__name__}")
        return None


class Relay:
    """
    Moves events from one outbox to the API.

    :param send: posts one JSON body, or raises DeliveryError
    :param concurrency: the most posts at once
    :param batch_size: the most events held under one lease
    :param lease: how long a claim holds, seconds
    :param send_seconds: the longest that one post may take, seconds
    :param clock: milliseconds since the epoch; no timestamp later than this is sent
    :param talking: held while the relay talks to the database, never while it waits
    """

    def __init__(
        self,
        outbox: Outbox,
        send: Callable[[str], None],
        *,
        concurrency: int = 8,
        batch_size: int = 50,
        lease: float = 120.0,
        send_seconds: float = 13.05,
        dedupe_days: int = 30,
        rejected_days: int = 30,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        talking: AbstractContextManager[Any] | None = None,
    ) -> None:
        self.tally = Tally()
        self._outbox = outbox
        self._post = send
        self._senders = Senders(self._send, concurrency)
        self._batch_size = batch_size
        self._lease = lease
        self._hold = lease - send_seconds - _MARGIN
        self._dedupe = timedelta(days=dedupe_days)
        self._rejected = timedelta(days=rejected_days)
        self._clock = clock
        self._talking = talking or nullcontext()
        self._stopping = False
        # Not an Event: a signal handler may call stop() while this very thread holds its lock.
        self._nudges: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._next_prune = 0.0

    def wake(self) -> None:
        """Look at the table now. Callable from any thread."""
        if self._nudges.empty():
            self._nudges.put(None)

    def stop(self) -> None:
        """
        Claim nothing more, finish what is being sent, hand back the rest.

        Callable from any thread, and from a signal handler.
        """
        self._stopping = True
        self._nudges.put(None)

    def run(self, *, until_empty: bool = False, max_events: int | None = None) -> Tally:
        """
        Work until :meth:`stop`.

        :param until_empty: return once nothing is due; what waits for a later try stays
        :param max_events: return after this many events
        """
        poll = _POLL[0]
        taken = 0
        try:
            while not self._stopping:
                limit = self._batch_size
                if max_events is not None:
                    limit = min(limit, max_events - taken)
                try:
                    claimed = self._round(limit)
                except Error:
                    if until_empty:
                        raise
                    logger.exception("The relay's database failed; its events stay as they are")
                    connections[self._outbox.using].close()
                    claimed = 0
                taken += claimed
                if max_events is not None and taken >= max_events:
                    break
                if claimed:
                    poll = _POLL[0]
                    continue
                if until_empty:
                    break
                poll = _POLL[0] if self._nudged(poll) else min(poll * 2, _POLL[1])
        finally:
            self._senders.close()
        return self.tally

    def _nudged(self, seconds: float) -> bool:
        try:
            self._nudges.get(timeout=seconds)
        except queue.Empty:
            return False
        return True

    def _round(self, limit: int) -> int:
        deadline = time.monotonic() + self._hold
        with self._talking:
            lease = self._claim(limit)
        if lease.events:
            self._deliver(_Batch(lease, deadline))
        return len(lease.events)

    def _claim(self, limit: int) -> Lease:
        connection = connections[self._outbox.using]
        if not connection.in_atomic_block:  # in one it would be closed, as in a shop's TestCase
            connection.close_if_unusable_or_obsolete()
        lease = self._outbox.claim(limit, timedelta(seconds=self._lease))
        if not lease.events and time.monotonic() >= self._next_prune:
            self._next_prune = time.monotonic() + _PRUNE_SECONDS
            self._outbox.prune(dedupe=self._dedupe, rejected=self._rejected)
        return lease

    def _send(self, payload: str) -> None:
        self._post(clamp_timestamp(payload, self._clock()))

    def _deliver(self, batch: _Batch) -> None:
        self._senders.submit(batch)
        outstanding = len(batch.lease.events)
        results: list[_Result] = []
        try:
            while outstanding:
                try:
                    results.append(batch.results.get(timeout=_SETTLE_SECONDS))
                    outstanding -= 1
                    idle = False
                except queue.Empty:
                    idle = True
                if self._stopping or time.monotonic() > batch.deadline:
                    back = self._senders.withdraw()
                    outstanding -= len(back)
                    if back:
                        with self._talking:
                            self.tally.released += self._outbox.release(batch.lease.token, back)
                if results and (idle or not outstanding or len(results) >= _SETTLE_RESULTS):
                    with self._talking:
                        self._settle(batch.lease.token, results)
                    results = []
        finally:
            # After an error of the database: nothing of this batch may start any more.
            self._senders.withdraw()

    def _settle(self, token: str, results: Sequence[_Result]) -> None:
        # Deliveries first: what is not written back is sent again.
        delivered = [result.event for result in results if result.error is None]
        if delivered:
            self.tally.delivered += self._outbox.delivered(token, delivered)
            for event in delivered:
                signals.event_delivered.send_robust(event.event_type, event_id=event.event_id)
        for result in results:
            if result.error is None:
                continue
            if result.error.is_rejection:
                self._reject(token, result.event, result.error)
            else:
                self._reschedule(token, result.event, result.error)

    def _reject(self, token: str, event: Claimed, error: DeliveryError) -> None:
        self.tally.rejected += self._outbox.reject(token, event, error)
        logger.error(
            "Event rejected, and kept: %s",
            error,
            extra={"event_id": event.event_id, "event_type": event.event_type},
        )
        signals.event_rejected.send_robust(
            event.event_type,
            event_id=event.event_id,
            status=error.status,
            message=error.message,
        )

    def _reschedule(self, token: str, event: Claimed, error: DeliveryError) -> None:
        wait = retry_wait(event.failures + 1, error.retry_after)
        self.tally.rescheduled += self._outbox.reschedule(
            token, event, timedelta(seconds=wait), error
        )
        logger.log(
            logging.ERROR if error.is_configuration else logging.WARNING,
            "Event not delivered, next try in %g s: %s",
            wait,
            error,
            extra={"event_id": event.event_id, "event_type": event.event_type},
        )


def relay_from_settings(using: str, *, talking: AbstractContextManager[Any] | None = None) -> Relay:
    """
    Return a relay for the outbox of one database, as the settings have it.

    :param using: the database's alias
    :param talking: as for :class:`Relay`
    :raises ImproperlyConfigured: the settings are at fault
    """
    settings = get_settings()
    try:
        client = EventClient(
            settings.platform_id,
            settings.api_key,
            platform_name=settings.platform_name,
            domain_suffix=settings.domain_suffix,
            base_url=settings.base_url,
            timeout=settings.timeout,
            pool_size=settings.concurrency,
        )
    except ValueError as error:
        raise ImproperlyConfigured(f"MOLOCO_RMP: {error}.") from None
    return Relay(
        Outbox(using),
        client.insert_body,
        concurrency=settings.concurrency,
        batch_size=settings.batch_size,
        lease=settings.lease,
        send_seconds=sum(settings.timeout),
        dedupe_days=settings.dedupe_days,
        rejected_days=settings.rejected_days,
        talking=talking,
    )
