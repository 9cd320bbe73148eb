"""
How a test talks with a process on a host: a JSON list of words in each line, answered by a line of
JSON. Over pipes, which no partition of the network cuts.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from typing import Any

#: Seconds within which a busy machine answers.
PATIENCE = 60.0


def converse(partner: object) -> None:
    """Do what is asked for, each a method of ``partner``, until there is nobody to ask."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(getattr(partner, command)(*arguments)), flush=True)


class Talker:
    """The test's side."""

    def __init__(self, process: subprocess.Popen[str], errors: Any) -> None:
        self.process = process
        self._errors = errors

    def ready(self) -> None:
        """Return once it listens."""
        assert self._hear() == "ready"

    def ask(self, *words: Any) -> Any:
        """Have it do something, and return its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return self._hear()

    def _hear(self) -> Any:
        out = self.process.stdout
        assert out is not None
        # Nothing is buffered between two lines: each is the answer to one question.
        assert select.select([out], [], [], PATIENCE)[0], f"silent: {self.errors()}"
        line = out.readline()
        assert line, f"it has died: {self.errors()}"
        return json.loads(line)

    def errors(self) -> str:
        """Return what it wrote to its standard error."""
        self._errors.seek(0)
        return str(self._errors.read())
