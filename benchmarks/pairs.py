"""Pairs: the same work by two of them, turn about, so that a busy moment meets both."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")
#: What prints a line.
Say = Callable[[str], object]
#: Times in nanoseconds, one for each call.
Times = Sequence[int]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one of them took over all rounds: the medians of the rounds' figures, nanoseconds."""

    median: float
    worst: float

    @classmethod
    def of(cls, rounds: Sequence[Times]) -> Figures:
        """The medians of each round's median and 99th percentile."""
        return cls(
            statistics.median(statistics.median(each) for each in rounds),
            statistics.median(worst(each) for each in rounds),
        )


def worst(times: Times) -> int:
    """Return the 99th percentile."""
    return sorted(times)[len(times) * 99 // 100]


def measure(contenders: Mapping[str, Callable[[], _T]], *, rounds: int) -> dict[str, list[_T]]:
    """
    Let each have its turn, so many rounds, in another order each time.

    :return: what the turns of each returned, by name
    """
    found: dict[str, list[_T]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            found[name].append(contenders[name]())
    return found


def ratio(ours: Sequence[Times], theirs: Sequence[Times]) -> float:
    """Return the median of the rounds' ratios of medians: below 1 ours is faster."""
    return paired(list(map(statistics.median, ours)), list(map(statistics.median, theirs)))


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the rounds' ratios of a figure."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def machine() -> str:
    """Return a line on what was measured on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{os.cpu_count()} CPUs ({cpu}), {platform.system()} {platform.release()}, Python"
        f" {platform.python_version()}; load before: {load}"
    )
