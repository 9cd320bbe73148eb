"""Install uWSGI, and into the folder named as argument the last one that runs without threads.

Not among the environment's dependencies: both are compiled, and where that is not possible the
other servers are tested all the same.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NEW = "uwsgi>=2.0.29"
THREADLESS = "uwsgi==2.0.26"


def install(*arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    if subprocess.run([*pip, *arguments], check=False).returncode != 0:
        print(f"{arguments[-1]} could not be built: see its error above")


def main(folder: Path) -> None:
    install(NEW)
    if not (folder / "bin" / "uwsgi").exists():
        install("--target", str(folder), THREADLESS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
