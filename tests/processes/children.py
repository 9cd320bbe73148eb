"""Real processes on the database of the test run, which are waited for and really killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connections, transaction

from django_moloco_rmp.models import Gate, OutboxEvent

ROOT = Path(__file__).parents[2]
#: Long enough for a busy machine to do what it is waited for.
PATIENCE = 30.0
_PACE = 0.01


def wait_until(condition: Callable[[], object]) -> None:
    """Return when a condition holds; fail if it does not in good time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(_PACE)


def sessions(pid: int | None = None) -> list[int]:
    """
    The sessions that other processes have on the default database, by their ids.

    :param pid: the one process, where a file is the database: its descriptors of that file
    """
    connection = connections["default"]
    if connection.vendor == "sqlite":
        path = str(connection.settings_dict["NAME"])
        links = Path(f"/proc/{pid or os.getpid()}/fd").iterdir()
        return [int(link.name) for link in links if target(link) == path]
    query = {
        "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()",
        "mysql": "SELECT id FROM information_schema.processlist WHERE db = DATABASE()"
        " AND id <> CONNECTION_ID()",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]


def target(link: Path) -> str | None:
    """Where a link leads; None if it is gone already."""
    try:
        return str(link.readlink())
    except OSError:
        return None


@contextmanager
def locked_outbox() -> Iterator[None]:
    """Let whoever inserts an event wait until the end of the ``with`` block."""
    connection = connections["default"]
    table = connection.ops.quote_name(OutboxEvent._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            # Locks the gap after the last row, too, which each insert needs.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with transaction.atomic():
            if connection.vendor == "postgresql":
                cursor.execute(f"LOCK TABLE {table} IN SHARE MODE")
            elif connection.vendor == "mysql":
                cursor.execute(f"SELECT id FROM {table} WHERE id >= 0 FOR UPDATE")
            else:
                Gate.objects.update(name="default")
            yield


def environment(**moloco_rmp: Any) -> dict[str, str]:
    """The environment of a child, which gets these keys of MOLOCO_RMP."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.processes.settings",
        "PYTHONPATH": os.pathsep.join([*map(str, sys.path), str(ROOT)]),
        "PYTHONUNBUFFERED": "1",
        "SHOP_MOLOCO_RMP": json.dumps(moloco_rmp),
        **{
            f"SHOP_DATABASE_{alias}": str(connections[alias].settings_dict["NAME"])
            for alias in ("default", "other")
        },
    }


def manage(*arguments: str, **moloco_rmp: Any) -> subprocess.CompletedProcess[str]:
    """Run a management command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        env=environment(**moloco_rmp),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@contextmanager
def started(*arguments: str, **moloco_rmp: Any) -> Iterator[subprocess.Popen[str]]:
    """A Python process; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=environment(**moloco_rmp),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A line at a time, whatever the platform does with pipes.
        bufsize=1,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def relay(*arguments: str, **moloco_rmp: Any) -> Any:
    """``moloco_relay`` in a process of its own."""
    return started("-m", "django", "moloco_relay", *arguments, **moloco_rmp)


class Shop:
    """
    A context manager: a shop's process, which does what it is told, see :mod:`.shop`.

    :param moloco_rmp: keys of MOLOCO_RMP
    """

    def __init__(self, **moloco_rmp: Any) -> None:
        self._manager = started("-m", "tests.processes.shop", **moloco_rmp)

    def __enter__(self) -> Shop:
        self.process: subprocess.Popen[str] = self._manager.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._manager.__exit__(*exc_info)

    def __call__(self, *words: str) -> Any:
        """Have it do something, and return what it answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            raise AssertionError(f"the shop has died: {self.process.stderr.read()}")
        return json.loads(line)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        self.process.kill()
        self.process.wait()

    def end(self, number: signal.Signals | None = None) -> str:
        """Let it end by itself, or by a signal; return what it wrote to its standard error."""
        if number is not None:
            self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return errors
