"""The example shop and its demo, as somebody who has just cloned the project runs them."""

from __future__ import annotations

import os
import subprocess
import sys
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
