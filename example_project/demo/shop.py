"""The shop as a process of its own."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"
_ADDRESS = re.compile(r"server at (http://127\.0\.0\.1:\d+)/")
_SECONDS_TO_START = 60
_SECONDS_TO_END = 5
_LINES_KEPT = 40


class ShopError(Exception):
    """The shop did not start; the text holds what it printed."""


class Shop:
    """
    Context manager: the shop under ``runserver`` with a new database, on a free port.

    :param folder: where the database is put
    :param variables: environment variables for it; of this process's own it gets none that are
        about Django or MOLOCO_RMP, so that nothing is sent where those say
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        loopback = "127.0.0.1,localhost"
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DJANGO_", "MOLOCO_RMP_"))
        } | {
            "ALLOWED_HOSTS": loopback,
            "DATABASE_URL": f"sqlite:///{(folder / 'shop.sqlite3').as_posix()}",
            "DEBUG": "True",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            # A proxy between the shop and a sandbox on the same machine helps nobody.
            "NO_PROXY": loopback,
            "no_proxy": loopback,
            "PYTHONUNBUFFERED": "1",
            **variables,
        }
        self._printed: deque[str] = deque(maxlen=_LINES_KEPT)
        self._addresses: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None
        #: Where it answers, for example ``http://127.0.0.1:41225``.
        self.url = ""

    def __enter__(self) -> Self:
        self._run("migrate", "--verbosity=0")
        self._process = self._start("runserver", "--noreload", "127.0.0.1:0")
        try:
            self.url = self._address()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process, by force if it does not listen."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process = None

    def wait(self) -> None:
        """Return when the process has ended by itself."""
        if self._process is not None:
            # In steps, because Windows does not let Ctrl-C interrupt a wait without an end.
            while self._process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(1)

    def printed(self) -> str:
        """Return the last lines that the shop printed."""
        return "".join(self._printed)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(MANAGE), *arguments]

    def add_admin(self, name: str, password: str) -> None:
        """Let somebody in who may do anything in the shop's admin."""
        options = ("--noinput", f"--username={name}", f"--email={name}@example.com")
        self._run("createsuperuser", *options, DJANGO_SUPERUSER_PASSWORD=password)

    def _run(self, *arguments: str, **variables: str) -> None:
        done = subprocess.run(
            self._command(*arguments),
            env=self._environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise ShopError(f"manage.py {arguments[0]} failed:\n{done.stdout}")

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self._command(*arguments),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()
        return process

    def _read(self, process: subprocess.Popen[str]) -> None:
        # To the end, or the shop would one day wait for somebody to empty the pipe.
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._printed.append(line)
                if found := _ADDRESS.search(line):
                    self._addresses.put(found[1])
        self._addresses.put(None)

    def _address(self) -> str:
        try:
            address = self._addresses.get(timeout=_SECONDS_TO_START)
        except queue.Empty:
            address = None
        if address is None:
            raise ShopError(f"The shop did not start:\n{self.printed()}")
        return address
