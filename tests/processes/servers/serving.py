"""Real servers: started on a free port, asked for pages by many clients, and ended."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
import requests

from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.sandbox import SandboxServer
from tests.processes.children import PATIENCE, ROOT, environment, manage, wait_until

#: Stands for the number of the listening socket that a server inherits: nobody can take the port in
#: between, and early clients wait in its queue.
LISTENER = "{listener}"
_CLIENTS = 8


def find(package: str) -> list[str]:
    """
    The command line of a server, by its package.

    A package that is missing is a skipped test, and with CI set in the environment a failed one.
    """
    if importlib.util.find_spec(package) is None:
        lack(f"{package} is not installed")
    return [sys.executable, "-m", package]


def find_uwsgi(*, with_threads: bool = True) -> list[str]:
    """
    The command line of uWSGI, which is a program and no module.

    The last version that can do without threads is 2.0.26; UWSGI_THREADLESS names its program.
    """
    if with_threads:
        folder = Path(sys.executable).parent
        path = shutil.which("uwsgi", path=f"{folder}{os.pathsep}{os.environ['PATH']}")
        path = path or lack("uWSGI is not installed")
    else:
        path = shutil.which(os.environ.get("UWSGI_THREADLESS", ""))
        path = path or lack("UWSGI_THREADLESS names no uWSGI")
    return [path]


def lack(what: str) -> NoReturn:
    """Skip the test, or fail it with CI set in the environment."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI is set")
    pytest.skip(what)


class Server:
    """
    A context manager: a server of the shop in :mod:`.site`, whose output goes to a file.

    ``emitted`` collects the ids of the events that answers told of, ``pids`` whose answers.
    """

    def __init__(
        self, *arguments: str, env: dict[str, str] | None = None, port: int = 0, **moloco_rmp: Any
    ) -> None:
        self.emitted: list[str] = []
        self.pids: set[int] = set()
        self.answers: list[dict[str, Any]] = []
        self._log = tempfile.NamedTemporaryFile(mode="r", suffix=".log")  # noqa: SIM115
        variables = environment(**moloco_rmp) | (env or {})
        variables["DJANGO_SETTINGS_MODULE"] = "tests.processes.servers.settings"
        command = [*arguments]
        options: dict[str, Any] = {}
        if not port:
            listener = socket.create_server(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            command = [each.replace(LISTENER, str(listener.fileno())) for each in command]
            options["pass_fds"] = [listener.fileno()]
        self.url = f"http://127.0.0.1:{port}"
        with open(self._log.name, "wb") as log:  # noqa: PTH123
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=variables, stdout=log, stderr=log, **options
            )
        if options:
            listener.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        if exc_info[0] is not None:
            print(self.log())
        if self.process.poll() is None:
            self.process.kill()
        for pid in self.pids - {self.process.pid}:
            # What a killed master may leave behind.
            if _is_child_like(pid, self._log.name):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()

    def log(self) -> str:
        """What it wrote so far."""
        return Path(self._log.name).read_text()

    def get(self, path: str) -> dict[str, Any]:
        """Ask for one page, by a connection of its own."""
        answer = requests.get(f"{self.url}/{path}", timeout=PATIENCE)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        self.emitted += found.get("ids", [])
        self.pids.add(found["pid"])
        self.answers.append(found)
        return found

    def get_many(self, *paths: str) -> list[dict[str, Any]]:
        """Ask for pages, many at a time."""
        with ThreadPoolExecutor(_CLIENTS) as clients:
            return list(clients.map(self.get, paths))

    def reach(self, count: int, path: str) -> None:
        """Ask for a page until so many processes have answered."""
        start = len(self.answers)

        def reached() -> bool:
            self.get_many(*[path] * _CLIENTS)
            return len({each["pid"] for each in self.answers[start:]}) >= count

        wait_until(reached)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def _is_child_like(pid: int, log: str) -> bool:
    """Whether a process is one of the server's: its output goes to the server's log."""
    try:
        return os.readlink(f"/proc/{pid}/fd/1") == log  # noqa: PTH115
    except OSError:
        return False


def ids(sandbox: SandboxServer) -> list[str]:
    """Of all calls, in order."""
    return [each["body"]["id"] for each in sandbox.events()]


def written() -> list[str]:
    """Return the ids of the events in the outbox."""
    return sorted(OutboxEvent.objects.values_list("event_id", flat=True))


def deliver_rest(sandbox: SandboxServer) -> None:
    """Send what an ended server left in the outbox."""
    done = manage("moloco_relay", "--until-empty", BASE_URL=sandbox.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("0 pending\n")
