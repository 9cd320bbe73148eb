"""Running a command as an operator does, in this process."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

from django.core.management import CommandError, call_command


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command wrote, and its exit status."""

    out: str
    err: str
    status: int

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(name: str, *arguments: str) -> Ran:
    """Run a command to its end."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    try:
        call_command(name, *arguments, stdout=out, stderr=err)
    except CommandError as error:
        err.write(f"{error}\n")
        status = error.returncode
    except SystemExit as ended:
        status = int(str(ended.code))
    return Ran(out.getvalue(), err.getvalue(), status)


def rows(text: str) -> dict[str, str]:
    """The rows of moloco_status by their names, the last of each name."""
    return {line[2:16].strip(): line[16:] for line in text.splitlines() if line.startswith("  ")}
