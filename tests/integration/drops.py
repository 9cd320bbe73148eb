"""What the package tells when it drops an event: the signal and the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django_moloco_rmp.signals import event_dropped

LOGGER = logging.getLogger("django_moloco_rmp")


@dataclass
class Drops:
    """The signals, as sender, reason and detail, and the records of the log."""

    told: list[tuple[object, str, str]] = field(default_factory=list)
    records: list[logging.LogRecord] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it as a person reads it, tracebacks included."""
        formatter = logging.Formatter()
        return "\n".join([*map(str, self.told), *map(formatter.format, self.records)])


@contextmanager
def dropped() -> Iterator[Drops]:
    """Collect what is told inside of the ``with`` block."""
    drops = Drops()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            drops.records.append(record)

    def collect(sender: Any, reason: str, detail: str, **_: Any) -> None:
        drops.told.append((sender, reason, detail))

    handler = Collector()
    LOGGER.addHandler(handler)
    event_dropped.connect(collect)
    try:
        yield drops
    finally:
        event_dropped.disconnect(collect)
        LOGGER.removeHandler(handler)
