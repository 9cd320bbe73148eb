"""Combine the coverage data of the tox environments named as arguments, and judge it.

Every line and every branch is demanded when each of them left data. Where one was skipped, for want
of an interpreter, a database server or a browser, lines that only it reaches are rightly uncovered:
then the report is shown and not judged, except with CI set in the environment, where nothing may be
missing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Per cent of lines and branches.
DEMANDED = 100


def main(folder: Path, environments: list[str]) -> None:
    data = {name: sorted(map(str, folder.glob(f"{name}.*"))) for name in environments}
    missing = [name for name, files in data.items() if not files]
    if missing and os.environ.get("CI"):
        sys.exit(f"FAILED: no coverage data of {', '.join(missing)}, and CI is set")
    if len(missing) == len(environments):
        print("SKIPPED: no coverage data; run the test environments first")
        return
    coverage = [sys.executable, "-m", "coverage"]
    files = [file for group in data.values() for file in group]
    subprocess.run([*coverage, "combine", "--keep", "--quiet", *files], check=True)
    demanded = 0 if missing else DEMANDED
    report = subprocess.run([*coverage, "report", f"--fail-under={demanded}"], check=False)
    if missing:
        print(f"SKIPPED: {DEMANDED} % is not demanded without {', '.join(missing)}")
    sys.exit(report.returncode)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
