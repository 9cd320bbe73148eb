"""The sandbox's request quota."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Throttle:
    """
    Lets at most ``max_qps`` calls through in any one second; all of them when it is None.

    A call that is refused does not count, so a client that hammers still gets its quota.
    ``clock`` returns seconds. ``retry_after`` is what refused calls are told to wait, in seconds;
    None tells them nothing. May be used from several threads, and ``max_qps`` may be changed.
    """

    def __init__(
        self, max_qps: int | None, clock: Callable[[], float], retry_after: int | None = None
    ) -> None:
        self.max_qps = max_qps
        self.retry_after = retry_after
        self._clock = clock
        self._lock = threading.Lock()
        self._admitted: deque[float] = deque()

    def admit(self) -> bool:
        """Tell whether a call that arrives now is let through."""
        max_qps = self.max_qps
        if max_qps is None:
            return True
        with self._lock:
            now = self._clock()
            while self._admitted and self._admitted[0] <= now - 1:
                self._admitted.popleft()
            if len(self._admitted) >= max_qps:
                return False
            self._admitted.append(now)
            return True
