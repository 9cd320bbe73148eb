"""Seeing what is reported: :func:`capture_events`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django_moloco_rmp.captures import capturing
from django_moloco_rmp.events import Event
from django_moloco_rmp.signals import event_dropped, event_recorded


@dataclass(frozen=True, slots=True)
class Dropped:
    """
    An event that was not recorded.

    ``event_type`` is None if what was given is no text; ``reason`` is one of those of
    :data:`django_moloco_rmp.signals.event_dropped`; ``detail`` may be blank.
    """

    event_type: str | None
    reason: str
    detail: str


class CapturedEvents(list[Event]):
    """The events of a capture, oldest first, and those that were ``dropped``."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[Dropped] = []
        # By identity, for the same event may go to several; with the event, so that it stays one.
        self._destinations: dict[int, tuple[str, Event]] = {}

    def to(self, destination: str) -> list[Event]:
        """Return the events for one destination, by its name in DESTINATIONS."""
        return [event for event in self if self._destinations[id(event)][0] == destination]

    def _collect(self, sender: Any, event: Event, destination: str, **_: Any) -> None:
        self.append(event)
        self._destinations[id(event)] = destination, event

    def _collect_dropped(self, sender: Any, reason: str, detail: str, **_: Any) -> None:
        self.dropped.append(Dropped(sender, reason, detail))


@contextmanager
def capture_events() -> Generator[CapturedEvents]:
    """
    Collect the events that are reported inside the ``with`` block, by whatever thread::

        with capture_events() as events:
            client.get("/product/1/")
        assert_event(events, "ITEM_PAGE_VIEW", items=["1"])

    An event is seen when it is reported. So it is seen in ``TestCase``, where nothing is ever
    committed; and it is seen, too, if its transaction is rolled back afterwards.

    In a ``SimpleTestCase``, and in any other test that forbids the database, nothing is written.
    """
    events = CapturedEvents()
    event_recorded.connect(events._collect, weak=False)
    event_dropped.connect(events._collect_dropped, weak=False)
    try:
        with capturing():
            yield events
    finally:
        event_recorded.disconnect(events._collect)
        event_dropped.disconnect(events._collect_dropped)
