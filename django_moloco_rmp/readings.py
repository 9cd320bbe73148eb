"""
Readings of the database's clock: what this process's own clock may have shown meanwhile.

Slots are moments by the database's clock, and are kept by a process's own. On a busy machine or a
long line a reading takes tens of milliseconds, in which it is not known when it was made; but one
of many is quick, and the clocks hardly drift apart in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from django_moloco_rmp.protocol import SECOND

# Seconds in which clocks drift apart by a millisecond or so, and readings enough to choose from.
_LONGEST = 10.0
_MOST = 50
# Seconds: SQLite tells whole milliseconds, so that two readings may seem so much apart.
_GRAIN = 0.001


@dataclass(frozen=True, slots=True)
class Reading:
    """
    One reading: ``now`` (microseconds by the database's clock) was between ``read_at`` and
    ``read_by`` (seconds by this process's monotonic clock).
    """

    now: int
    read_at: float
    read_by: float

    @property
    def doubt(self) -> float:
        """How many seconds too late :meth:`latest` may be."""
        return self.read_by - self.read_at

    def latest(self, moment: int) -> float:
        """Return when a moment of the database's clock has come for sure, in monotonic seconds."""
        return self.read_by + (moment - self.now) / SECOND

    def agrees_with(self, other: Reading) -> bool:
        """Return whether both can be true of clocks that nobody has set in between."""
        shift = (other.now - self.now) / SECOND
        latest, earliest = other.read_by + _GRAIN, other.read_at - _GRAIN
        return self.read_at + shift <= latest and earliest <= self.read_by + shift


class Readings:
    """The last readings of one process."""

    def __init__(self) -> None:
        self._readings: list[Reading] = []

    def closest(self, reading: Reading) -> Reading:
        """Note a reading, and return the closest one that still holds."""
        held = [
            each
            for each in self._readings[1 - _MOST :]
            if reading.read_at - each.read_at <= _LONGEST and each.agrees_with(reading)
        ]
        self._readings = [*held, reading]
        return min(self._readings, key=lambda each: each.doubt)
