"""The senders: a bounded pool of threads that post events and touch no database."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from django_moloco_rmp import signals
from django_moloco_rmp.exceptions import DeliveryError, NetworkError
from django_moloco_rmp.outbox import Claimed

logger = logging.getLogger("django_moloco_rmp")


@dataclass(frozen=True, slots=True)
class Grant:
    """
    What one claim got, for the events that came of it.

    ``generation`` of the circuit and ``granted_at`` (database's microseconds) go back to the gate
    with each result. ``start_before`` is by this process's monotonic clock, in seconds: a post that
    begins later could outlast its lease.
    """

    token: str
    generation: int
    granted_at: int
    start_before: float
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """An event to post, not before ``not_before`` and not later than ``not_after`` (monotonic)."""

    event: Claimed
    grant: Grant
    not_before: float
    not_after: float


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a job; ``was_sent`` is False if it has not been tried after all."""

    job: Job
    error: DeliveryError | None = None
    was_sent: bool = True


class Senders:
    """
    Posts events, so many at once, each in its slot.

    Daemon threads, unlike those of ``concurrent.futures``: a server that hangs must not hold up
    the exit of the process; the lease covers what was on its way. After a failure that concerns
    the destination as a whole nothing that has not begun is begun: the circuit decides on it.

    :param send: posts one JSON body, or raises DeliveryError
    :param size: the most posts at once
    :param ring: called, in the sender's thread, when there is something to :meth:`take`
    """

    def __init__(self, send: Callable[[str], None], size: int, ring: Callable[[], None]) -> None:
        self.size = size
        #: Jobs that have been submitted and whose results have not been taken.
        self.outstanding = 0
        self._send = send
        self._ring = ring
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._jobs: queue.SimpleQueue[tuple[Job, threading.Event] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Replaced at each halt; a job knows the one that it was submitted under.
        self._halted = threading.Event()

    def submit(self, jobs: Iterable[Job]) -> None:
        """Queue jobs; :meth:`take` will return a result for each of them."""
        for job in jobs:
            self.outstanding += 1
            self._jobs.put((job, self._halted))
        while len(self._threads) < min(self.size, self.outstanding):
            thread = threading.Thread(target=self._work, name="moloco-sender", daemon=True)
            thread.start()
            self._threads.append(thread)

    def take(self) -> list[Result]:
        """Return the results that there are, without waiting for any."""
        results = []
        with suppress(queue.Empty):
            while True:
                results.append(self._results.get_nowait())
        self.outstanding -= len(results)
        return results

    def waiting(self) -> int:
        """Return how many jobs no thread has started on, about."""
        return self._jobs.qsize()

    def halt(self) -> None:
        """Begin nothing of what has been submitted; it results in ``was_sent=False``."""
        halted, self._halted = self._halted, threading.Event()
        halted.set()
        ends = 0
        with suppress(queue.Empty):
            while True:
                waiting = self._jobs.get_nowait()
                if waiting is None:
                    ends += 1
                else:
                    self._results.put(Result(waiting[0], was_sent=False))
        for _ in range(ends):  # of close(), for threads that are still busy
            self._jobs.put(None)

    def close(self) -> None:
        """Let each thread end after what it is doing; does not wait."""
        for _ in self._threads:
            self._jobs.put(None)
        self._threads.clear()

    def _work(self) -> None:
        while work := self._jobs.get():
            job, halted = work
            self._results.put(self._attempt(job, halted))
            self._ring()

    def _attempt(self, job: Job, halted: threading.Event) -> Result:
        halted.wait(max(0.0, job.not_before - time.monotonic()))
        if halted.is_set() or time.monotonic() > job.not_after:
            return Result(job, was_sent=False)
        began_at = time.monotonic()
        error = self._post(job.event)
        seconds = time.monotonic() - began_at
        if error is not None and error.concerns_destination:
            # At once, and not when the result is looked at: others would begin in between.
            halted.set()
        signals.event_posted.send_robust(
            job.event.event_type, destination=job.event.destination, seconds=seconds, error=error
        )
        return Result(job, error)

    def _post(self, event: Claimed) -> DeliveryError | None:
        try:
            self._send(event.payload)
        except DeliveryError as error:
            return error
        except Exception as error:
            # A fault of ours must neither lose the event nor leave the relay waiting for it.
            logger.exception(
                "Sending failed in an unforeseen way",
                extra={
                    "event_id": event.event_id,
                    "event_type": event.event_type,
                    "destination": event.destination,
                },
            )
            return NetworkError(f"unforeseen {type(error).__name__}")
        return None
