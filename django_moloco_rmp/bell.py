"""A wake-up call between threads."""

from __future__ import annotations

import queue


class Bell:
    """
    Rung by any thread to end another's wait, which is what :class:`threading.Event` is for.

    But a signal handler may ring this one, too, while its own thread is waiting for it.
    """

    def __init__(self) -> None:
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ring(self) -> None:
        """End the present wait, or the next one. Callable from threads and signal handlers."""
        if self._rings.empty():
            self._rings.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait for a ring, so many seconds at most; return whether it came."""
        try:
            self._rings.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return False
        return True
