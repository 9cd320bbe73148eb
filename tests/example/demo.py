"""The example shop and its demo, as somebody who has just cloned the project runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "example_project"


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what is the test suite's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the example project to its end."""
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE / "manage.py", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def started(*arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command of the example project; it is ended in the end, if it has not by itself."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", EXAMPLE / "manage.py", *arguments],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def until(lines: Iterable[str], text: str) -> Iterator[str]:
    """The lines up to the one that holds a text."""
    for line in lines:
        yield line.rstrip("\n")
        if text in line:
            return
    raise AssertionError(f"{text} was not printed")
