"""How far long work has come: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType

_WIDTH = 30
# Seconds between two signs of life.
_BAR_SECONDS = 0.1
_LINE_SECONDS = 5.0


class Progress:
    """
    A context manager that says how much of something has been done.

    :param write: writes a text as it is
    :param label: what is being done, as in ``Resending``
    :param total: how much there is to do
    :param is_terminal: whether ``write`` goes to a terminal, where a line can be overwritten
    :param clock: seconds that only ever grow
    """

    def __init__(
        self,
        write: Callable[[str], object],
        label: str,
        total: int,
        *,
        is_terminal: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.done = 0
        self._write = write
        self._label = label
        self._total = total
        self._is_terminal = is_terminal
        self._clock = clock
        self._pause = _BAR_SECONDS if is_terminal else _LINE_SECONDS
        self._said_at = clock()
        self._shown = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._overwrite("")

    def follow(self, steps: Iterable[int]) -> int:
        """Take all steps, each of which says how much it did; return how much that was."""
        for step in steps:
            self.add(step)
        return self.done

    def add(self, number: int) -> None:
        """Note that so much more has been done."""
        self.done += number
        now = self._clock()
        if now - self._said_at < self._pause:
            return
        self._said_at = now
        # More may have come in since it was counted.
        part = min(self.done / self._total, 1.0) if self._total else 1.0
        counted = f"{self.done:,} of {max(self._total, self.done):,}"
        if self._is_terminal:
            bar = ("#" * int(part * _WIDTH)).ljust(_WIDTH, ".")
            self._overwrite(f"{self._label} [{bar}] {part:4.0%}  {counted}")
        else:
            self._write(f"{self._label}: {counted} ({part:.0%})\n")

    def _overwrite(self, line: str) -> None:
        self._write(f"\r{line.ljust(self._shown)}" + ("" if line else "\r"))
        self._shown = len(line)
