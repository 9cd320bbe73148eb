"""
What becomes of events once they have been posted: written back in one transaction, and told.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import Error, transaction
from django.db.models import F

from django_moloco_rmp import signals
from django_moloco_rmp.counts import DELIVERED, REJECTED, RETRIED, Counts, Sample, Tallies
from django_moloco_rmp.database import retrying
from django_moloco_rmp.exceptions import DeliveryError
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.outbox import Claimed, Outbox
from django_moloco_rmp.protocol import POISON, SECOND, lengthen, retry_wait
from django_moloco_rmp.senders import Result

logger = logging.getLogger("django_moloco_rmp")


@dataclass(slots=True)
class Tally:
    """What a relay has done with events so far."""

    delivered: int = 0
    rescheduled: int = 0
    rejected: int = 0
    released: int = 0


@dataclass(slots=True)
class _Draft:
    """What one try of a transaction did; it counts only once that is committed."""

    tally: Tally = field(default_factory=Tally)
    counts: Tallies = field(default_factory=Tallies)
    told: list[Callable[[], object]] = field(default_factory=list)


class Settlement:
    """
    Writes the results of posts back to outbox and gate.

    :param max_qps: the limit of all processes together, calls per second; None for no limit
    :param jitter: returns random numbers from 0 to 1
    """

    def __init__(
        self,
        outbox: Outbox,
        gate: Gate,
        *,
        max_qps: float | None,
        jitter: Callable[[], float],
    ) -> None:
        self.tally = Tally()
        self._outbox = outbox
        self._gate = gate
        self._max_qps = max_qps
        self._jitter = jitter
        self._counted = Tally()
        self._counts = Counts(outbox.using, gate.name)
        self._sample = Sample()
        self._sampled: dict[str, int] = {}
        # The database's time, and this process's monotonic time when it was that.
        self._time = (0, 0.0)
        # Whether a success is news to the gate, as far as this process knows.
        self._is_news = False

    def watch(self, held: Held) -> None:
        """Note how the gate is, whenever it has been looked at."""
        self._is_news = bool(held.circuit.failures or held.circuit.rejections)
        self._time = (held.now, held.read_at)

    def counts(self, now: Any) -> dict[str, Any]:
        """
        Return columns of the gate to set for what has not been counted there.

        :param now: the database's time in microseconds, or an expression for it
        """
        new = {
            "delivered": self.tally.delivered - self._counted.delivered,
            "rejected": self.tally.rejected - self._counted.rejected,
            "retried": self.tally.rescheduled - self._counted.rescheduled,
        }
        columns = {name: F(name) + count for name, count in new.items() if count}
        if new["delivered"]:
            columns["last_success_at"] = now
        return columns | self._sampled

    def counted(self) -> None:
        """Note that :meth:`counts` have been saved."""
        tally = self.tally
        self._counted = Tally(tally.delivered, tally.rescheduled, tally.rejected, tally.released)
        self._sampled = {}

    def prune(self) -> None:
        """Sum up counts that have been kept by the hour long enough."""
        if self._counts.has_old(self._now()):
            self._gate.change(lambda held: self._counts.prune(held.now))

    def _now(self) -> int:
        then, read_at = self._time
        return then + int((time.monotonic() - read_at) * SECOND)

    def settle(self, results: Sequence[Result]) -> None:
        """
        Write results back.

        :raises django.db.Error: nothing was written; it is safe to do so again
        """
        try:
            draft = self._written(results)
        except Error:
            if all(each.error is None or each.error.message.isascii() for each in results):
                raise
            # A database of few characters would refuse the vendor's words for ever, and the events
            # with them would be sent for ever.
            draft = self._written(
                [each if each.error is None else _in_ascii(each, each.error) for each in results]
            )
        tally = self.tally
        tally.delivered += draft.tally.delivered
        tally.rescheduled += draft.tally.rescheduled
        tally.rejected += draft.tally.rejected
        tally.released += draft.tally.released
        for result in results:
            if result.was_sent and result.error is None:
                self._sampled |= self._sample.add(result.job.event.identifier)
        for tell in draft.told:
            tell()

    def _written(self, results: Sequence[Result]) -> _Draft:
        if self._is_news or any(each.error or not each.was_sent for each in results):
            return self._gate.change(partial(self._decide, results))
        return retrying(self._outbox.using, partial(self._plain, results))

    def _plain(self, results: Iterable[Result]) -> _Draft:
        with transaction.atomic(using=self._outbox.using):
            draft = self._delivered(results)
            self._counts.write(self._now(), draft.counts)
        return draft

    def _delivered(self, results: Iterable[Result]) -> _Draft:
        draft = _Draft()
        for token, events in _by_token(results).items():
            draft.tally.delivered += self._outbox.delivered(token, events)
            draft.told += [partial(_tell_delivered, event) for event in events]
            for event in events:
                draft.counts.add(event, DELIVERED)
        return draft

    def _decide(self, results: Sequence[Result], held: Held) -> _Draft:
        # Deliveries first: what is not written back is sent again.
        delivered = [each for each in results if each.was_sent and each.error is None]
        draft = self._delivered(delivered)
        for result in delivered:
            held.circuit = held.circuit.succeeded(held.now, result.job.grant.generation)
            held.notes["last_success_at"] = held.now
        unsent = [each for each in results if not each.was_sent]
        for token, events in _by_token(unsent).items():
            draft.tally.released += self._outbox.release(token, events)
        for result in unsent:
            if result.job.grant.is_probe:
                held.circuit = held.circuit.returned(result.job.grant.generation)
        for result in results:
            if result.error is not None:
                self._refused(held, draft, result, result.error)
        self._counts.write(held.now, draft.counts)
        self.watch(held)
        return draft

    def _refused(self, held: Held, draft: _Draft, result: Result, error: DeliveryError) -> None:
        held.notes |= {
            "last_error_at": held.now,
            "last_status": error.status,
            "last_error": error.message[:500],
        }
        if error.is_throttle:
            self._throttled(held, draft, result, error)
        elif error.is_rejection:
            self._rejected(held, draft, result, error)
        elif error.is_configuration:
            self._misconfigured(held, draft, result, error)
        else:
            self._failed(held, draft, result, error)

    def _throttled(self, held: Held, draft: _Draft, result: Result, error: DeliveryError) -> None:
        event, grant = result.job.event, result.job.grant
        held.pace, wait = held.pace.throttle(
            held.now,
            grant.granted_at,
            event.identifier,
            _microseconds(error.retry_after),
            self._jitter(),
            self._max_qps,
        )
        held.circuit = held.circuit.deferred(held.now, grant.generation, wait)
        draft.tally.rescheduled += self._outbox.release(
            grant.token, [event], timedelta(microseconds=wait)
        )
        draft.counts.add(event, RETRIED)
        draft.told.append(partial(_tell_waiting, event, error, wait))

    def _rejected(self, held: Held, draft: _Draft, result: Result, error: DeliveryError) -> None:
        event, grant = result.job.event, result.job.grant
        held.circuit, is_its_fault = held.circuit.rejected(
            held.now, grant.generation, self._jitter()
        )
        if is_its_fault:
            draft.tally.rejected += self._outbox.reject(grant.token, event, error)
            draft.counts.add(event, REJECTED)
            draft.told.append(partial(_tell_rejected, event, error))
        else:
            draft.tally.rescheduled += self._outbox.keep(grant.token, event, error)
            draft.counts.add(event, RETRIED)
            draft.told.append(partial(_tell_kept, event, error))

    def _misconfigured(
        self, held: Held, draft: _Draft, result: Result, error: DeliveryError
    ) -> None:
        event, grant = result.job.event, result.job.grant
        held.circuit = held.circuit.misconfigured(held.now, grant.generation, self._jitter())
        draft.tally.rescheduled += self._outbox.keep(grant.token, event, error)
        draft.counts.add(event, RETRIED)
        draft.told.append(partial(_tell_kept, event, error))

    def _failed(self, held: Held, draft: _Draft, result: Result, error: DeliveryError) -> None:
        event, grant = result.job.event, result.job.grant
        # Only while all else is well: an outage is no event's fault.
        is_to_blame = (
            error.is_server_error
            and not held.circuit.failures
            and grant.generation == held.circuit.generation
        )
        held.circuit = held.circuit.failed(
            held.now, grant.generation, self._jitter(), _microseconds(error.retry_after)
        )
        if is_to_blame and event.server_errors + 1 >= POISON:
            why = f"poison: {POISON} server errors while other events were delivered; "
            draft.tally.rejected += self._outbox.reject(grant.token, event, error, why=why)
            draft.counts.add(event, REJECTED)
            draft.told.append(partial(_tell_rejected, event, error))
            return
        wait = retry_wait(event.failures + 1, _microseconds(error.retry_after))
        wait = lengthen(wait, self._jitter())
        draft.tally.rescheduled += self._outbox.reschedule(
            grant.token,
            event,
            timedelta(microseconds=wait),
            error,
            is_server_error=is_to_blame,
        )
        draft.counts.add(event, RETRIED)
        draft.told.append(partial(_tell_waiting, event, error, wait))


def _by_token(results: Iterable[Result]) -> dict[str, list[Claimed]]:
    events = defaultdict(list)
    for result in results:
        events[result.job.grant.token].append(result.job.event)
    return events


def _in_ascii(result: Result, error: DeliveryError) -> Result:
    plain = copy(error)
    plain.message = error.message.encode("ascii", "backslashreplace").decode()
    return replace(result, error=plain)


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * SECOND)


def _extra(event: Claimed, error: DeliveryError) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "event_type": event.event_type,
        "destination": event.destination,
        "status": error.status,
    }


def _tell_delivered(event: Claimed) -> None:
    signals.event_delivered.send_robust(
        event.event_type, event_id=event.event_id, destination=event.destination
    )


def _tell_waiting(event: Claimed, error: DeliveryError, wait: int) -> None:
    seconds = wait / SECOND
    logger.warning(
        "Event not delivered, next try in %g s: %s",
        seconds,
        error,
        extra={**_extra(event, error), "wait": seconds},
    )


def _tell_kept(event: Claimed, error: DeliveryError) -> None:
    logger.error("Event not delivered, and kept: %s", error, extra=_extra(event, error))


def _tell_rejected(event: Claimed, error: DeliveryError) -> None:
    logger.error("Event rejected, and kept: %s", error, extra=_extra(event, error))
    signals.event_rejected.send_robust(
        event.event_type,
        event_id=event.event_id,
        destination=event.destination,
        status=error.status,
        message=error.message,
    )
