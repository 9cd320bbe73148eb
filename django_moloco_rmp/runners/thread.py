"""
The background thread of a process: it writes the buffer, and runs the relay where the settings want
one in the web process, or has a task queue nudged.

It is started by the first event, never at import, and again by the first event after a fork.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import cache
from typing import Any, Protocol

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from django_moloco_rmp.bell import Bell
from django_moloco_rmp.buffer import Buffer
from django_moloco_rmp.conf import get_settings, named_relay
from django_moloco_rmp.outbox import Entry

logger = logging.getLogger("django_moloco_rmp")

#: What makes the runner of one database, by the value of RELAY and by path, so that a process loads
#: only what it uses.
RUNNERS = {
    "thread": "django_moloco_rmp.fleet.fleet_from_settings",
    "celery": "django_moloco_rmp.runners.celery.nudger",
    "tasks": "django_moloco_rmp.runners.tasks.nudger",
}
# What imports the rest of what they take, where their modules do not by themselves.
_LOADERS = {
    "celery": "django_moloco_rmp.runners.celery.load",
    "tasks": "django_moloco_rmp.runners.tasks.present_task",
}
#: Of these, those that only tell somebody else.
QUEUES = ("celery", "tasks")
#: Seconds that the end of the process waits for what is being written and sent.
DRAIN_TIMEOUT = 2.0
# Of these, seconds for what is being sent; the rest is for the last results.
_SENDING_TIMEOUT = 1.5
# Seconds that a fork waits for the end of a statement.
_FORK_TIMEOUT = 1.0
# Seconds between tries to write the rest of the buffer at the end of the process.
_DRAIN_PAUSE = 0.1
_FOREVER = 3600.0


class Runner(Protocol):
    """
    What the background thread drives for each database: its relays, or what nudges a queue.

    ``has_connection`` if it uses the thread's connection, and closes it when it is idle.
    """

    has_connection: bool

    @property
    def talking(self) -> threading.Lock | None:
        """Held by a thread of its own, if it has one, while that talks to somebody."""

    def wake(self, destination: str | None = None) -> None:
        """Take notice of new events for one destination, or all. Callable from any thread."""

    def step(self) -> float | None:
        """Do what can be done now; return in how many seconds to come again, None at the end."""

    def stop(self) -> None:
        """Come to an end. Callable from any thread."""

    def close(self) -> None:
        """Let go of what it has, once it has come to its end."""


class Background:
    """
    The background thread and all that it has to do.

    :param idle_seconds: of idleness after which no connection to a database is kept
    """

    def __init__(self, *, idle_seconds: float = 10.0) -> None:
        self.pid = os.getpid()
        #: Whether :meth:`stop` was called: there is no thread any more, or soon.
        self.has_ended = False
        self._idle_seconds = idle_seconds
        self._bell = Bell()
        self._buffer = Buffer(self._bell.ring)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted: set[str] = set()
        # Those woken before they were made, with the destination.
        self._called: set[tuple[str, str | None]] = set()
        self._runners: dict[str, Runner | None] = {}
        self._give_up_at = 0.0
        self._active_at = time.monotonic()
        # Held while it talks to a database, never while it waits.
        self._talking = threading.Lock()
        self._hushed: list[threading.Lock] = []
        # Strong references: see release().
        self._raw: list[Any] = []

    def put(self, entry: Entry, using: str, *, wakes: bool) -> None:
        """Have an entry written soon, and the runner woken then."""
        if wakes and using not in self._wanted:
            with self._lock:
                self._wanted.add(using)
        self._buffer.put(entry, using)
        self._start()

    def wake(self, using: str, destination: str | None) -> None:
        """Wake the runner of a database, which is made if need be, for a destination or all."""
        with self._lock:
            self._wanted.add(using)
            runner = self._runners.get(using)
            if runner is None:
                self._called.add((using, destination))
        self._start()
        if runner is None:
            self._bell.ring()
        else:
            runner.wake(destination)

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        load()
        with self._lock:
            if (self._thread is None or not self._thread.is_alive()) and not self.has_ended:
                self._thread = threading.Thread(target=self._run, name="moloco-rmp", daemon=True)
                self._thread.start()
                _hook_into_pools()

    def _run(self) -> None:
        try:
            while not self.has_ended:
                with self._talking:
                    wait = self._safe_step()
                self._bell.wait(wait)
            self._end()
        finally:
            with self._talking:
                connections.close_all()

    def _safe_step(self) -> float:
        try:
            return self._step()
        except Exception:
            # Without this thread buffered events would pile up.
            logger.exception("The background thread failed in an unforeseen way, and goes on")
            return 1.0

    def _step(self) -> float:
        wait, written = self._buffer.step()
        with self._lock:
            new = self._wanted - self._runners.keys()
            called, self._called = self._called, set()
        for using in new:
            self._runners[using] = self._made(using)
        waits = [min(wait, self._idle_seconds)]
        self._call(written | called)
        failures = []
        for runner in filter(None, self._runners.values()):
            try:
                more = runner.step()
            except Exception as error:
                failures.append(error)
            else:
                waits.append(_FOREVER if more is None else more)
        self._close_idle(is_active=bool(written))
        self._raw = [each.connection for each in connections.all(initialized_only=True)]
        if failures:
            raise failures[0]
        return min(waits)

    def _call(self, new: AbstractSet[tuple[str, str | None]]) -> None:
        for using, destination in new:
            runner = self._runners.get(using)
            if runner is not None:
                runner.wake(destination)

    def _close_idle(self, *, is_active: bool) -> None:
        now = time.monotonic()
        if is_active:
            self._active_at = now
        elif now - self._active_at > self._idle_seconds:
            for connection in connections.all(initialized_only=True):
                runner = self._runners.get(connection.alias)
                if runner is None or not runner.has_connection:
                    connection.close()

    def _made(self, using: str) -> Runner | None:
        try:
            runner: Runner = import_string(RUNNERS[get_settings().relay])(
                using,
                bell=self._bell,
                drain_seconds=_SENDING_TIMEOUT,
                idle_seconds=self._idle_seconds,
            )
        except Exception as error:
            # There are task queues of many makers. The buffer is written all the same.
            is_explained = isinstance(error, ImproperlyConfigured)
            logger.error(
                "Events wait in the outbox, as nothing can be sent: %s",
                error,
                exc_info=not is_explained,
                extra={"database": using, "reason": "configuration"},
            )
            return None
        return runner

    def _end(self) -> None:
        if named_relay() in QUEUES:
            # There is time to tell a queue of the process's only event; not to send it.
            with self._talking:
                self._safe_step()
        runners = {using: each for using, each in self._runners.items() if each is not None}
        for runner in runners.values():
            runner.stop()
        while True:
            with self._talking:
                self._call(self._buffer.drain())
                waits = {using: runner.step() for using, runner in runners.items()}
            for using in [each for each, wait in waits.items() if wait is None]:
                runners.pop(using).close()
            moments = [wait for wait in waits.values() if wait is not None]
            if not self._buffer.close() and time.monotonic() < self._give_up_at:
                # The database may be back in time.
                moments.append(_DRAIN_PAUSE)
            if not moments:
                return
            self._bell.wait(min(moments))

    def stop(self) -> None:
        """Write the buffer, finish what is being sent, and end; in bounded time."""
        with self._lock:
            if self.has_ended:
                return
            self._give_up_at = time.monotonic() + DRAIN_TIMEOUT
            self.has_ended = True
            thread = self._thread
        self._bell.ring()
        if thread is not None:
            thread.join(DRAIN_TIMEOUT)
        self._buffer.abandon()

    def hush(self) -> None:
        """
        Before a fork: wait for a moment in which no thread talks to a database or a task queue.

        A child made in the middle of it would inherit the locks of the driver, and hang.
        """
        end = time.monotonic() + _FORK_TIMEOUT
        locks = [self._talking, *(each.talking for each in self._runners.values() if each)]
        for lock in locks:
            if lock is not None and lock.acquire(timeout=max(0.0, end - time.monotonic())):
                self._hushed.append(lock)

    def go_on(self) -> None:
        """After a fork, in the parent."""
        while self._hushed:
            self._hushed.pop().release()

    def release(self) -> None:
        """
        After a fork, in the child: let go of the thread's connections without a word.

        The child shares their sockets. Were they closed in the ordinary way, as when they are
        collected, some drivers would take leave of the server, which then ends the parent's
        session. Were they kept open, that session would outlive a parent that was killed, and with
        it the locks of its transaction.
        """
        for raw in self._raw:
            # SQLite's connection has no socket, and a lost one may have none any more.
            with suppress(Exception):
                nothing = os.open(os.devnull, os.O_RDWR)
                os.dup2(nothing, raw.fileno())
                os.close(nothing)


_background = Background()


def _hook_into_pools() -> None:
    # The child processes of these end without Python's exit hooks.
    celery_signals = sys.modules.get("celery.signals")
    if celery_signals is not None:
        celery_signals.worker_process_shutdown.connect(drain, dispatch_uid=__name__)
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        sys.modules["multiprocessing.util"].Finalize(None, drain, exitpriority=0)


def _present() -> Background:
    # uWSGI forks without a word to Python's hooks.
    if _background.pid != os.getpid():
        _after_fork_in_child()
    return _background


def _before_fork() -> None:
    _background.hush()


def _after_fork_in_parent() -> None:
    _background.go_on()


def _after_fork_in_child() -> None:
    # A child has none of its parent's threads, and a lock that one of them may have held.
    global _background
    old, _background = _background, Background()
    old.release()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)


# Exit hooks run last first. By that of weakref urllib3 takes its connections out of use, and posts
# would then wait for one for ever: it has to be registered before ours.
weakref.finalize(Background, bool)


@atexit.register
def drain(**_: Any) -> None:
    """
    Write what is in the buffer, hand back what has not been sent, and end the background thread.

    Python calls it at its normal exit, and Celery as a receiver. Takes two seconds at most.
    """
    _present().stop()


def load() -> None:
    """
    Import what the chosen runner takes: tenths of a second for an HTTP library, or a broker's.

    Were it left to the thread, a child forked in the middle of it would inherit half a module, or
    wait for the other half for ever.
    """
    # What is missing is for the thread to tell, and for the checks.
    with suppress(Exception):
        relay = get_settings().relay
        import_string(RUNNERS[relay])
        if relay in _LOADERS:
            import_string(_LOADERS[relay])()


def wake(using: str, destination: str | None) -> None:
    """
    Wake the runner of one database, starting the thread if need be; where none runs do nothing.

    :param using: the database's alias
    :param destination: the name of where its new events go; None if that may be anywhere
    """
    if can_run():
        _present().wake(using, destination)
    elif is_threadless():
        _warn_of_threadless()


@cache
def _warn_of_threadless() -> None:
    logger.error(
        "Events wait in the outbox: uWSGI runs without threads. Start it with --enable-threads, or "
        "run manage.py moloco_relay beside it.",
        extra={"reason": "threads"},
    )


def put(entry: Entry, using: str, *, wakes: bool) -> None:
    """
    Have an entry written to the outbox of one database soon.

    :param using: the database's alias
    :param wakes: whether to wake the runner then
    """
    _present().put(entry, using, wakes=wakes)


def can_run() -> bool:
    """
    Return whether a thread would run.

    Not under uWSGI without threads nor in its master, not in a test run, and not at the end of the
    process.
    """
    return not (in_test_run() or is_threadless() or _in_uwsgi_master() or _present().has_ended)


def is_threadless() -> bool:
    """Return whether this process runs under a uWSGI that lets no other thread run."""
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is not None and not getattr(uwsgi, "has_threads", True)


def _in_uwsgi_master() -> bool:
    # It forks in the middle of whatever its threads are doing, and the workers would hang.
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is not None and uwsgi.masterpid() == os.getpid()


def in_test_run() -> bool:
    """
    Return whether Django's test environment is set up, as its runner and pytest-django do.

    A thread with a connection of its own would keep the test database from being dropped.
    """
    module = sys.modules.get("django.test.utils")
    return hasattr(getattr(module, "_TestState", None), "saved_data")
