"""A shop's process on a host: what :class:`Shop` has as methods it does when told."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import uuid4

import django

from tests.hosts.conversation import converse

django.setup()

from django.contrib.auth.models import Group  # noqa: E402
from django.db import close_old_connections, connections, transaction  # noqa: E402

from django_moloco_rmp import Item, Money, track  # noqa: E402
from tests.outbox.samples import somebody  # noqa: E402

LAMP = Item("lamp", price=Money("19.90", "EUR"), quantity=1)


class Shop:
    """Reports events as a web process does, and remembers what became of them."""

    def __init__(self) -> None:
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._told: dict[str, list[Any]] = {}
        self._forget()

    def _forget(self) -> None:
        self._told = {"committed": [], "unsure": [], "failed": [], "took": [], "looked": []}

    def clock(self) -> float:
        """Return what time it is here."""
        return time.time()

    def browse(self, count: int = 1) -> None:
        """Report page views, which wait in the buffer: from now on they must not get lost."""
        for _ in range(count):
            start = time.perf_counter()
            event_id = track("ITEM_PAGE_VIEW", LAMP, shopper=somebody())
            self._told["looked"].append(time.perf_counter() - start)
            self._told["committed"].append(event_id)

    def buy(self, count: int = 1) -> None:
        """Sell, each time in a transaction with a row of the shop's own and an event."""
        for _ in range(count):
            event_id, is_complete = str(uuid4()), False
            start = time.perf_counter()
            try:
                with transaction.atomic():
                    Group.objects.create(name=f"order {event_id}")
                    track("PURCHASE", LAMP, shopper=somebody(), event_id=event_id)
                    is_complete = True
            except Exception as error:
                # Whether a lost COMMIT was one only the database knows.
                self._told["unsure"].extend([event_id] if is_complete else [])
                self._told["failed"].append(type(error).__name__)
            else:
                self._told["committed"].append(event_id)
            self._told["took"].append(time.perf_counter() - start)
            # As at the end of each request.
            close_old_connections()

    def open(self, looks: float, sales: float) -> None:
        """Do both without end: so many page views and purchases a second, if there is time."""
        self._closing.clear()
        for work, rate in ((self.browse, looks), (self.buy, sales)):
            thread = threading.Thread(target=self._repeat, args=(work, rate))
            thread.start()
            self._threads.append(thread)

    def _repeat(self, work: Any, rate: float) -> None:
        while not self._closing.wait(1 / rate):
            work()
        connections.close_all()

    def close(self) -> None:
        """End that."""
        self._closing.set()
        while self._threads:
            self._threads.pop().join()

    def count(self) -> dict[str, int]:
        """Return how many there are of each kind so far."""
        return {name: len(each) for name, each in self._told.items()}

    def told(self) -> dict[str, list[Any]]:
        """
        Return ids and times since the last call: events that have to arrive, those that may, the
        errors of purchases, and how long purchases and page views took.
        """
        told = self._told
        self._forget()
        return told


if __name__ == "__main__":
    converse(Shop())
