"""Relays to a server on loopback, and a server that lets a test look over its shoulder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from django.db import connections

from django_moloco_rmp.client import EventClient
from django_moloco_rmp.fleet import Fleet
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.relay import Relay
from tests.http_server import Answer, Request, ScriptedServer
from tests.outbox.clocks import ShiftedClock

#: Long enough for a busy machine to do what it is waited for.
PATIENCE = 30


@contextmanager
def relay_to(
    url: str,
    *,
    outbox: Outbox | None = None,
    passing: ShiftedClock | None = None,
    timeout: tuple[float, float] = (10.0, 20.0),
    **options: Any,
) -> Iterator[Relay]:
    """
    A relay from the default database's outbox to a server, with waits that are exact.

    :param passing: the clock of outbox and gate, if the test lets time pass
    """
    options = {
        "gate": Gate("default", clock=passing),
        "jitter": lambda: 0.0,
        "send_seconds": sum(timeout),
        **options,
    }
    outbox = outbox or Outbox("default", clock=passing)
    with EventClient("SHOP_TEST", "test-key", base_url=url, timeout=timeout) as client:
        yield Relay(outbox, client.insert_body, **options)


@contextmanager
def running(relay: Relay | Fleet, **options: Any) -> Iterator[threading.Thread]:
    """Run a relay, or a fleet of them, in a thread of its own, and stop it at the end."""

    def run() -> None:
        try:
            relay.run(**options)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        relay.stop()
        thread.join(PATIENCE)
    assert not thread.is_alive()


class WatchedOutbox(Outbox):
    """Tells when the relay has looked for events, and when it has handed some back."""

    def __init__(self, using: str = "default") -> None:
        super().__init__(using)
        self.looked = threading.Semaphore(0)
        self.handed_back = threading.Event()

    def has_due(self) -> bool:
        try:
            return super().has_due()
        finally:
            self.looked.release()

    def release(self, *arguments: Any) -> int:
        try:
            return super().release(*arguments)
        finally:
            self.handed_back.set()


class WatchedServer(ScriptedServer):
    """
    Calls a function with each request before it answers, in the thread of that connection.

    An exception in there fails the test.
    """

    def __init__(self, watch: Callable[[Request], object], *answers: Answer) -> None:
        super().__init__(*answers)
        self.most_at_once = 0
        self._arrived = threading.Semaphore(0)
        self._watch = watch
        self._at_once = 0
        self._count = threading.Lock()
        self._errors: list[Exception] = []

    def wait_for(self, count: int) -> None:
        """Return once so many more requests have come in since the last call."""
        for _ in range(count):
            assert self._arrived.acquire(timeout=PATIENCE)

    def take(self, request: Request) -> Answer:
        answer = super().take(request)
        with self._count:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self._arrived.release()
        try:
            self._watch(request)
        except Exception as error:
            self._errors.append(error)
        finally:
            connections.close_all()
            with self._count:
                self._at_once -= 1
        return answer

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc, traceback)
        for error in self._errors:
            raise error


class HoldingServer(WatchedServer):
    """Answers nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__(self._hold)
        self.answering = threading.Event()

    def _hold(self, request: Request) -> None:
        assert self.answering.wait(PATIENCE)
