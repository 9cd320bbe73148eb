"""Relays on a clock that stands still until the test moves it: hours in seconds, to the second."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections

from django_moloco_rmp.client import EventClient
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.relay import Relay, Tally
from tests.faults.bench import Sandbox
from tests.faults.processes import PATIENCE
from tests.outbox.clocks import FrozenClock


class Fleet:
    """
    Relays that share an outbox and a clock, each in a thread with a connection of its own.

    At each :meth:`tick` all of them look at once, new ones each time, as a scheduler may start
    them; they have only the gate to know of each other.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        relays: int,
        post: Callable[[str], None],
        *,
        ahead: float = 10,
        **options: Any,
    ) -> None:
        self.clock = FrozenClock(ahead)
        self.outbox = Outbox("default", clock=self.clock)
        self.gate = Gate("default", clock=self.clock)
        self._sandbox = sandbox
        self._post = post
        self._options = {"jitter": lambda: 0.0, **options}
        self._orders = [queue.SimpleQueue[bool]() for _ in range(relays)]
        self._reports = queue.SimpleQueue[Tally | Exception]()
        self._threads = [
            threading.Thread(target=self._work, args=[orders], daemon=True)
            for orders in self._orders
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        for orders in self._orders:
            orders.put(False)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _work(self, orders: queue.SimpleQueue[bool]) -> None:
        while orders.get():
            relay = Relay(self.outbox, self._post, gate=self.gate, **self._options)
            try:
                self._reports.put(relay.run(until_empty=True))
            except Exception as error:
                self._reports.put(error)
        connections.close_all()

    def tick(self, seconds: float) -> int:
        """Let it be so many seconds after the start; return how many calls all relays made."""
        self.clock.seconds = seconds
        before = len(self._sandbox.calls())
        for orders in self._orders:
            orders.put(True)
        for _ in self._orders:
            report = self._reports.get(timeout=PATIENCE)
            if isinstance(report, Exception):
                raise report
        return len(self._sandbox.calls()) - before

    def look(self) -> Held:
        """The gate as it is."""
        return self.gate.look()


@contextmanager
def fleet(
    sandbox: Sandbox, relays: int, *, timeout: tuple[float, float] = (3.0, 10.0), **options: Any
) -> Iterator[Fleet]:
    """A fleet that posts to a sandbox."""
    with ExitStack() as stack:
        client = EventClient("SHOP_TEST", "test-key", base_url=sandbox.url, timeout=timeout)
        stack.enter_context(client)
        ships = Fleet(sandbox, relays, client.insert_body, send_seconds=sum(timeout), **options)
        stack.callback(ships.close)
        yield ships
