"""Clocks that a test moves, on whatever database it runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, DateTimeField, Value

from django_moloco_rmp.database import Clock
from django_moloco_rmp.protocol import SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


class FrozenClock(Clock):
    """
    The time in the place of the database's: seconds since a start.

    :param ahead: the start, minutes from now. What the real clock writes meanwhile is due at once
        if the start is a little ahead.
    """

    def __init__(self, ahead: float) -> None:
        self._start = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=ahead)
        self.seconds = 0.0

    @property
    def _moment(self) -> datetime:
        return self._start + timedelta(seconds=self.seconds)

    def now(self) -> Any:
        return Value(self._moment, output_field=DateTimeField())

    def microseconds(self) -> Any:
        passed = self._moment - _EPOCH
        return Value(passed // timedelta(microseconds=1), output_field=BigIntegerField())
