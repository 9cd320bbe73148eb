"""The shop behind gunicorn: one worker with threads, on a port of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from benchmarks import usage

THREADS = 4
_PATIENCE = 60


class Server:
    """
    A context manager: gunicorn's processes. What they write is told only where something failed.

    :param env: of the shop, as by :func:`benchmarks.children.environment`
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def __enter__(self) -> Self:
        self._log = tempfile.NamedTemporaryFile(suffix=".log")
        # The port is taken before the server is there: early clients wait in its queue.
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "gunicorn", "benchmarks.wsgi"),
                    *("--bind", f"fd://{listener.fileno()}", "--log-level", "warning"),
                    *("--worker-class", "gthread", "--workers", "1", "--threads", str(THREADS)),
                    # Longer than a turn of another.
                    *("--keep-alive", "600"),
                ],
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[listener.fileno()],
            )
        return self

    def worker(self) -> int:
        """Return the worker's process id."""
        end = time.monotonic() + _PATIENCE
        while not (found := usage.children(self._process.pid)):
            if time.monotonic() > end:
                raise TimeoutError("gunicorn has begun no worker")
            time.sleep(0.05)
        return found[0]

    def __exit__(self, kind: object, *exc_info: object) -> None:
        if kind is not None:
            print(Path(self._log.name).read_text(), file=sys.stderr)
        # The master ends its worker, and kills it after 30 seconds.
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        finally:
            self._process.kill()
            self._process.communicate()
            self._log.close()
