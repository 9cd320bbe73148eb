"""A terminal at which somebody waits for the sandbox to be ready, and ends it."""

from __future__ import annotations

import io
import signal


class Terminal(io.StringIO):
    """Signals this process when the sandbox is ready, at a moment when it handles signals."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self.number: signal.Signals | None = number

    def flush(self) -> None:
        if self.number is not None and "ready" in self.getvalue():
            number, self.number = self.number, None
            signal.raise_signal(number)
