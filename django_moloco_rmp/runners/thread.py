"""
The relay as a daemon thread of the web process: started by the first event, never at import, and
again by the first event after a fork.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from django_moloco_rmp.relay import Relay

logger = logging.getLogger("django_moloco_rmp")

#: Seconds that the end of the process waits for what is being sent.
DRAIN_TIMEOUT = 2.0
# Seconds that a fork waits for the end of a statement.
_FORK_TIMEOUT = 1.0


class RelayThread(threading.Thread):
    """
    A thread around one relay. It closes its database connection when it ends.

    The relay is built in the thread, not by the request that starts it: its HTTP library takes
    tens of milliseconds to import.
    """

    def __init__(self, using: str) -> None:
        super().__init__(name=f"moloco-relay-{using}", daemon=True)
        self._using = using
        self._lock = threading.Lock()
        self._relay: Relay | None = None
        self._stopped = False
        #: Held while it talks to the database.
        self.talking = threading.Lock()

    def run(self) -> None:
        """Build the relay and run it until stopped."""
        try:
            relay: Relay = import_string("django_moloco_rmp.relay.relay_from_settings")(
                self._using, talking=self.talking
            )
        except ImproperlyConfigured as error:
            logger.error("Events wait in the outbox, as nothing can be sent: %s", error)
            return
        with self._lock:
            self._relay = relay
            if self._stopped:
                relay.stop()
        try:
            relay.run()
        finally:
            connections[self._using].close()

    def wake(self) -> None:
        """Have the relay look at the table now; a relay still being built does so anyway."""
        with self._lock:
            if self._relay is not None:
                self._relay.wake()

    def stop(self) -> None:
        """Ask the relay to end; does not wait."""
        with self._lock:
            self._stopped = True
            if self._relay is not None:
                self._relay.stop()


class _Threads:
    """The relay threads of this process, one for each database that has events."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: dict[str, RelayThread] = {}
        self._hushed: list[RelayThread] = []

    def wake(self, using: str) -> None:
        with self._lock:
            thread = self._threads.get(using)
            if thread is None or not thread.is_alive():
                thread = self._threads[using] = RelayThread(using)
                thread.start()
        thread.wake()

    def stop(self) -> None:
        with self._lock:
            threads = list(self._threads.values())
            self._threads.clear()
        for thread in threads:
            thread.stop()
        for thread in threads:
            thread.join(DRAIN_TIMEOUT / len(threads))

    def hush(self) -> None:
        """
        Before a fork: wait for a moment in which no thread talks to its database.

        A child made in the middle of it would inherit the locks of the driver, and hang.
        """
        deadline = time.monotonic() + _FORK_TIMEOUT
        self._hushed = [
            thread
            for thread in self._threads.values()
            if thread.talking.acquire(timeout=max(0.0, deadline - time.monotonic()))
        ]

    def go_on(self) -> None:
        """After a fork, in the parent."""
        for thread in self._hushed:
            thread.talking.release()


_threads = _Threads()


def _before_fork() -> None:
    _threads.hush()


def _after_fork() -> None:
    _threads.go_on()


def _after_fork_in_child() -> None:
    # A child has none of its parent's threads, and a lock that one of them may have held.
    global _threads  # noqa: PLW0603
    _threads = _Threads()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)


@atexit.register
def _stop() -> None:
    _threads.stop()


def wake(using: str) -> None:
    """
    Wake the thread for one database, starting it if need be; in a test run do nothing.

    :param using: the database's alias
    """
    if not in_test_run():
        _threads.wake(using)


def in_test_run() -> bool:
    """
    Return whether Django's test environment is set up, as its runner and pytest-django do.

    A thread with a connection of its own would keep the test database from being dropped.
    """
    module = sys.modules.get("django.test.utils")
    return hasattr(getattr(module, "_TestState", None), "saved_data")
