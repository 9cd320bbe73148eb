"""
The long form of the fault tests: ``python -m tests.faults``.

Each database gets processes of its own. Faults that keep the machine busy are run on one database
after another, so that their figures can be compared; then those that mostly wait, and beside them
the soak, on all databases at the same time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests import with_service

ROOT = Path(__file__).parents[2]
DATABASES = {
    "sqlite": None,
    "postgresql": "postgresql",
    "mariadb-rc": "mariadb",
    "mariadb-rr": "mariadb-repeatable-read",
}
_RESULT = "RESULT "


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument(
        "--database",
        default=",".join(DATABASES),
        help="which of them, separated by commas (default: %(default)s)",
    )
    parser.add_argument("--only", help="which faults, e.g. F2,F5 (default: all)")
    parser.add_argument("--soak", type=float, default=600, help="seconds of F25 (default: 600)")
    parser.add_argument(
        "--together",
        type=int,
        default=1,
        help="on how many databases at a time the busy ones are run (default: %(default)s)",
    )
    parser.add_argument("--short", action="store_true", help="the short form of each fault")
    # How this program calls itself, for one database.
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def environment(database: str, purpose: str = "") -> dict[str, str]:
    """The environment for a database; raises MissingServiceError if it is not here."""
    service = DATABASES[database]
    found = {} if service is None else with_service.SERVICES[service]()
    if "TEST_DATABASE_URL" in found:
        # Not the database of a test run that may be on its way.
        found["TEST_DATABASE_URL"] += f"_{database.replace('-', '_')}{purpose}"
    return {**os.environ, **found}


def run_one(options: argparse.Namespace) -> int:
    """Run faults on the one database that the environment names; a line of JSON for each."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    importlib.import_module("django").setup()
    # Only now: these load models.
    runner = importlib.import_module("django.test.runner").DiscoverRunner(
        verbosity=0, interactive=False
    )
    bench_module = importlib.import_module("tests.faults.bench")
    processes = importlib.import_module("tests.faults.processes")
    faults = importlib.import_module("tests.faults.registry").FAULTS
    connection = importlib.import_module("django.db").connection
    # What the package says of the faults is not news here.
    logging.getLogger("django_moloco_rmp").addHandler(logging.NullHandler())
    logging.getLogger("django_moloco_rmp").propagate = False
    database = options.child
    keys = options.only.split(",")
    old = runner.setup_databases()
    try:
        with processes.Workers() as workers:
            for fault in faults:
                if fault.key not in keys:
                    continue

                def say(text: str, key: str = fault.key) -> None:
                    print(f"{database} {key}: {text}", flush=True)

                say(fault.title)
                scale = bench_module.Scale(is_long=not options.short, soak=options.soak)
                bench = bench_module.Bench(database, scale, workers, say)
                bench.clear()
                start = time.monotonic()
                result: dict[str, Any] = {"key": fault.key, "database": database}
                try:
                    result |= asdict(fault.run(bench))
                except AssertionError as error:
                    result["error"] = str(error) or repr(error)
                except Exception as error:
                    result["error"] = f"{type(error).__name__}: {error}"
                    connection.close()
                result["seconds"] = time.monotonic() - start
                if "error" in result:
                    sys.stderr.write(workers.errors())
                print(_RESULT + json.dumps(result), flush=True)
    finally:
        runner.teardown_databases(old)
    return 0


class Job(threading.Thread):
    """One database's process; what it finds out is collected, all else is passed on."""

    def __init__(
        self,
        database: str,
        keys: Sequence[str],
        options: argparse.Namespace,
        purpose: str = "",
    ) -> None:
        super().__init__()
        self._purpose = purpose
        self.results: list[dict[str, Any]] = []
        self._database = database
        self._keys = keys
        self._command = [
            *[sys.executable, "-m", "tests.faults", "--child", database],
            *["--only", ",".join(keys), "--soak", str(options.soak)],
            *(["--short"] if options.short else []),
        ]

    def run(self) -> None:
        process = subprocess.Popen(
            self._command,
            env=environment(self._database, self._purpose),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(_RESULT):
                result = json.loads(line.removeprefix(_RESULT))
                self.results.append(result)
                said = result.get("error") or result["detail"]
                shown = f"{self._database} {result['key']}: {result['seconds']:.0f} s, {said}"
            else:
                shown = line.rstrip()
            print(shown, flush=True)
        process.wait()
        for key in set(self._keys) - {result["key"] for result in self.results}:
            self.results.append(
                {"key": key, "database": self._database, "error": "not run", "seconds": 0.0}
            )


def run_at_once(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results for people, in Markdown."""
    lines = [
        "| fault | database | offered | received unique | duplicates | lost | seconds | verdict |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for result in results:
        numbers = [result.get(name, "") for name in ("offered", "received_unique", "duplicates")]
        cells = [
            f"{result['key']} {result['title']}",
            result["database"],
            *numbers,
            result.get("lost", ""),
            f"{result['seconds']:.0f}",
            f"FAILED: {result['error']}" if "error" in result else f"ok: {result['detail']}",
        ]
        lines.append("| " + " | ".join(str(cell).replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


def main() -> int:
    options = arguments()
    if options.child:
        return run_one(options)
    unknown = set(options.database.split(",")) - DATABASES.keys()
    if unknown:
        sys.exit(f"no such database: {', '.join(sorted(unknown))}")
    here, missing = [], []
    for database in options.database.split(","):
        try:
            environment(database)
        except with_service.MissingServiceError as error:
            missing.append(database)
            print(f"MISSING: {database}: {error}", flush=True)
        else:
            here.append(database)
    # Only the registry's names are wanted, but its modules load models.
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    importlib.import_module("django").setup()
    faults = importlib.import_module("tests.faults.registry").FAULTS
    wanted = options.only.split(",") if options.only else [fault.key for fault in faults]
    chosen = [fault for fault in faults if fault.key in wanted]
    busy = [fault.key for fault in chosen if not fault.is_patient]
    soaks = [fault.key for fault in chosen if fault.key == "F25"]
    patient = [fault.key for fault in chosen if fault.is_patient and fault.key not in soaks]
    jobs = [Job(database, busy, options) for database in here] if busy else []
    for first in range(0, len(jobs), options.together):
        run_at_once(jobs[first : first + options.together])
    together = [Job(database, patient, options) for database in here] if patient else []
    together += [Job(database, soaks, options, "_soak") for database in here] if soaks else []
    run_at_once(together)
    order = [fault.key for fault in faults]
    results = [result for job in (*jobs, *together) for result in job.results]
    results.sort(key=lambda each: (order.index(each["key"]), here.index(each["database"])))
    for result in results:
        result["title"] = faults[order.index(result["key"])].title
    print(f"\n{table(results)}\n")
    failed = [each for each in results if "error" in each or each["lost"]]
    if missing and os.environ.get("CI"):
        print(f"FAILED: CI is set, and these are missing: {', '.join(missing)}")
    return 1 if failed or (missing and os.environ.get("CI")) else 0


if __name__ == "__main__":
    sys.exit(main())
