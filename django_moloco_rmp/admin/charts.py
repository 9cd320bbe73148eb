"""Charts as numbers: where the rectangles of an inline SVG are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

#: Of the chart of columns, in its own units.
WIDTH, HEIGHT, TOP = 760, 150, 14
#: Of a strip.
STRIP = 200
#: What is there at all is seen: no part is thinner.
_LEAST = 2.0
_GAP = 0.28


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of one outcome. Positions are texts: a locale must not write them with commas."""

    name: str
    start: str
    length: str


@dataclass(frozen=True, slots=True)
class Strip:
    """A horizontal bar of several parts."""

    title: str
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, values: Sequence[tuple[str, int]], most: int, title: str) -> Self:
        """Return the bar of some counts, as long as their sum is to ``most``."""
        parts = []
        position = 0.0
        for name, length in _lengths(values, most, STRIP):
            parts.append(Part(name, f"{position:.1f}", f"{length:.1f}"))
            position += length
        return cls(title, tuple(parts))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of several parts, the first at the bottom; ``figures`` are the same to read."""

    x: str
    width: str
    center: str
    parts: tuple[Part, ...]
    label: str
    title: str
    total: int
    when: str
    figures: tuple[str, ...]

    @classmethod
    def of(
        cls,
        place: int,
        places: int,
        values: Sequence[tuple[str, int]],
        most: int,
        *,
        label: str,
        title: str,
        total: int,
        when: str,
        figures: tuple[str, ...],
    ) -> Self:
        """Return the column at one of so many places."""
        room = WIDTH / places
        left = place * room + room * _GAP / 2
        parts = []
        bottom = float(HEIGHT)
        for name, length in _lengths(values, most, HEIGHT - TOP):
            bottom -= length
            parts.append(Part(name, f"{bottom:.1f}", f"{length:.1f}"))
        return cls(
            f"{left:.1f}",
            f"{room * (1 - _GAP):.1f}",
            f"{place * room + room / 2:.1f}",
            tuple(parts),
            label,
            title,
            total,
            when,
            figures,
        )


def _lengths(
    values: Sequence[tuple[str, int]], most: int, room: int
) -> Sequence[tuple[str, float]]:
    there = [(name, count) for name, count in values if count > 0]
    lengths = [(name, max(_LEAST, count * room / max(most, 1))) for name, count in there]
    # What was made thicker must not make the whole longer than the room.
    excess = max(1.0, sum(length for _, length in lengths) / room)
    return [(name, length / excess) for name, length in lengths]
