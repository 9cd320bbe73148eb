"""For a shop's own tests: :func:`capture_events`, and the sandbox as :class:`SandboxServer`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django_moloco_rmp.events import Event
from django_moloco_rmp.sandbox import SandboxServer
from django_moloco_rmp.signals import event_recorded

__all__ = ["SandboxServer", "capture_events"]


@contextmanager
def capture_events() -> Iterator[list[Event]]:
    """
    Collect the events that are recorded inside the ``with`` block, oldest first.

    It works in ``TestCase``, where nothing is ever committed, as events are seen when they are
    written::

        with capture_events() as events:
            client.get("/product/1/")
        assert [event.event_type for event in events] == ["ITEM_PAGE_VIEW"]
    """
    events: list[Event] = []

    def collect(sender: Any, event: Event, **_: Any) -> None:
        events.append(event)

    event_recorded.connect(collect, weak=False)
    try:
        yield events
    finally:
        event_recorded.disconnect(collect)
