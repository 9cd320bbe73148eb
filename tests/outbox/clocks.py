"""A clock that a test moves, on whatever database it runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django_moloco_rmp.database import Clock
from django_moloco_rmp.protocol import SECOND


class ShiftedClock(Clock):
    """The database's clock, ahead by as much as a test lets pass."""

    def __init__(self) -> None:
        self._ahead = 0

    def advance(self, seconds: float) -> None:
        """Let time pass for whoever has this clock."""
        self._ahead += round(seconds * SECOND)

    def now(self) -> Any:
        return super().now() + timedelta(microseconds=self._ahead)

    def microseconds(self) -> Any:
        return super().microseconds() + self._ahead
