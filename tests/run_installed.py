"""Run a command in a copy of this project that lacks the package's source folder.

    python tests/run_installed.py -- python -m pytest

With a flat layout ``import django_moloco_rmp`` finds the checkout first, and would test files that
the wheel may lack. In the copy there is nothing to find but what is installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import copytree, ignore_patterns

PACKAGE = "django_moloco_rmp"
LEFT_BEHIND = (".git", ".tox", ".venv", ".hypothesis", "*_cache", "__pycache__")
ROOT = Path(__file__).resolve().parent.parent
ORIGIN = f"import {PACKAGE}; print({PACKAGE}.__file__)"


def main(command: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        copytree(ROOT, copy, ignore=ignore_patterns(PACKAGE, *LEFT_BEHIND))
        found = subprocess.run(
            [sys.executable, "-c", ORIGIN], cwd=copy, check=True, capture_output=True, text=True
        ).stdout.strip()
        if ROOT in Path(found).parents and "site-packages" not in Path(found).parts:
            sys.exit(f"FAILED: {PACKAGE} is imported from {found}, not from an installed wheel")
        print(f"Testing {found}", flush=True)
        sys.exit(subprocess.run(command, cwd=copy, check=False).returncode)


if __name__ == "__main__":
    if sys.argv[1:2] != ["--"]:
        sys.exit("usage: run_installed.py -- COMMAND...")
    main(sys.argv[2:])
