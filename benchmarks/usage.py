"""What processes and the machine use, as Linux tells."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int | str = "self") -> int:
    """Return how much of a process is in memory, bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used, all its threads together."""
    # Its name, in parentheses, may have blanks in it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def named(*names: str) -> float:
    """Return the CPU seconds that all present processes of some names have used."""
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        # One may end while it is looked at.
        with suppress(OSError):
            if (folder / "comm").read_text().strip() in names:
                total += cpu(int(folder.name))
    return total


def machine_cpu() -> float:
    """Return the CPU seconds that all of the machine has been busy."""
    line = Path("/proc/stat").read_text().partition("\n")[0]
    user, nice, system, _, _, irq, softirq, *_ = map(int, line.split()[1:])
    return (user + nice + system + irq + softirq) / _TICKS


def children(pid: int) -> list[int]:
    """Return the processes that a process has begun."""
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
