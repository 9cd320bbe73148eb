"""
Nudges: telling a task queue that there is something to send. They carry no event.

A broker may refuse a call, or accept it and never answer; so a thread of its own calls it, which
neither a shopper's request nor the writing of the buffer waits for. A nudge that got lost costs
time and no event: the queue's own timetable calls for a drain as well.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import connections

from django_moloco_rmp.bell import Bell

logger = logging.getLogger("django_moloco_rmp")

#: Seconds between two nudges, and the most that these grow to while the broker cannot be reached.
PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_FOREVER = 3600.0


class Nudger:
    """
    Nudges for one outbox: after each :meth:`wake`, but once a second at most.

    It stands where the relay does if the process has one, and is driven in the same way.

    :param publish: asks for a drain; may raise anything, and may take its time
    :param using: alias of the outbox's database
    :param bell: rung when :meth:`step` has something new to say
    :param drain_seconds: how long a stopped one waits for what is being published, seconds
    :param pause: seconds between two nudges
    """

    #: The thread that drives it has one for itself alone.
    has_connection = False

    def __init__(
        self,
        publish: Callable[[], object],
        using: str,
        *,
        bell: Bell,
        drain_seconds: float,
        pause: float = PAUSE,
    ) -> None:
        self._publish = publish
        self._using = using
        self._outer_bell = bell
        self._drain_seconds = drain_seconds
        self._pause = pause
        self._bell = Bell()
        #: Held while it talks to the queue.
        self.talking = threading.Lock()
        self._is_wanted = False
        self._is_busy = False
        self._is_failing = False
        self._is_stopping = False
        self._is_closed = False
        self._give_up_at = 0.0
        threading.Thread(target=self._run, name="moloco-rmp-nudges", daemon=True).start()

    def wake(self, destination: str | None = None) -> None:
        """Have a nudge published, which is for all destinations. Callable from any thread."""
        self._is_wanted = True
        self._bell.ring()

    def stop(self) -> None:
        """Publish at once from now on, and give up what cannot be. Callable from any thread."""
        self._give_up_at = time.monotonic() + self._drain_seconds
        self._is_stopping = True
        self._bell.ring()

    def step(self) -> float | None:
        """Return in how many seconds to look again; None once it has come to its end."""
        if not self._is_stopping:
            return _FOREVER
        left = self._give_up_at - time.monotonic()
        return left if left > 0 and (self._is_wanted or self._is_busy) else None

    def close(self) -> None:
        """Let the thread end; does not wait."""
        self._is_closed = True
        self._bell.ring()

    def _run(self) -> None:
        pause = self._pause
        while not self._is_closed:
            if self._is_wanted:
                pause = self._pause if self._nudge() else min(2 * pause, _LONGEST_PAUSE)
                self._rest(pause)
            else:
                self._bell.wait(_FOREVER)

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._is_stopping and (left := end - time.monotonic()) > 0:
            self._bell.wait(left)

    def _nudge(self) -> bool:
        self._is_busy = True
        self._is_wanted = False
        try:
            with self.talking:
                self._call()
        except Exception:
            self._is_wanted = not self._is_stopping
            if not self._is_failing:
                logger.exception(
                    "The task queue cannot be told of new events; they wait in the outbox",
                    extra={"database": self._using, "reason": "broker"},
                )
            self._is_failing = True
            return False
        finally:
            self._is_busy = False
            self._outer_bell.ring()
        if self._is_failing:
            logger.warning(
                "The task queue can be told of new events again", extra={"database": self._using}
            )
        self._is_failing = False
        return True

    def _call(self) -> None:
        try:
            self._publish()
        finally:
            # A queue may be a table.
            connections.close_all()
