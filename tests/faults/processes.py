"""The test's side of :mod:`tests.faults.worker`: starts children, talks to them, and kills them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, Self

from tests.processes.children import ROOT, environment

#: Long enough for a busy machine to do what it is waited for, seconds.
PATIENCE = 60.0


class Workers:
    """A context manager: the process that all children are forked from."""

    def __enter__(self) -> Self:
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker", str(theirs.fileno())],
            env=environment(RELAY="command"),
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stderr=self._errors,
        )
        theirs.close()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._door.close()
        self._process.wait(PATIENCE)
        self._errors.close()

    def start(self, kind: str, **options: Any) -> Child:
        """Start a child of a kind of the worker's, with options of that kind."""
        ours, theirs = socket.socketpair()
        request = json.dumps({"kind": kind, "options": options}).encode()
        socket.send_fds(self._door, [request], [theirs.fileno()])
        theirs.close()
        answer = self._door.recv(1024)
        if not answer:
            raise AssertionError(f"no children any more: {self.errors()}")
        return Child(self, json.loads(answer), ours)

    def reap(self, pid: int) -> int | None:
        """Return a child's exit code, once; None while it runs."""
        self._door.send(json.dumps({"reap": pid}).encode())
        code: int | None = json.loads(self._door.recv(1024))
        return code

    def errors(self) -> str:
        """Return the last that they wrote to their standard error."""
        self._errors.seek(0)
        return self._errors.read()[-4000:]


class Child:
    """
    A child process.

    A context manager; it is killed at the end if it still runs.
    """

    def __init__(self, workers: Workers, pid: int, end: socket.socket) -> None:
        self.pid = pid
        self._workers = workers
        self._socket = end
        self._file = end.makefile("rw")
        self._code: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.code() is None:
            self.kill()
        self._file.close()
        self._socket.close()

    def hear(self, seconds: float = PATIENCE) -> Any:
        """Return the next thing that it says."""
        # Nothing is buffered here between two lines: each is the answer to one question.
        if not select.select([self._socket], [], [], seconds)[0]:
            raise AssertionError(f"process {self.pid} says nothing for {seconds:g} s")
        line = self._file.readline()
        if not line:
            raise AssertionError(f"process {self.pid} has died: {self._workers.errors()}")
        return json.loads(line)

    def ready(self) -> Self:
        """Return once it is about to begin."""
        assert self.hear() == {"ready": self.pid}
        return self

    def tell(self, *words: Any) -> None:
        """Have it do something, and do not wait for the answer."""
        self._file.write(json.dumps(words) + "\n")
        self._file.flush()

    def ask(self, *words: Any, seconds: float = PATIENCE) -> Any:
        """Have it do something, and return the answer."""
        self.tell(*words)
        return self.hear(seconds)

    def hang_up(self) -> None:
        """Let it know that there is nothing more to do."""
        self._socket.shutdown(socket.SHUT_WR)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        self.signal(signal.SIGKILL)
        self.wait()

    def code(self) -> int | None:
        """Return its exit code; None while it runs."""
        if self._code is None:
            self._code = self._workers.reap(self.pid)
        return self._code

    def wait(self, seconds: float = PATIENCE) -> int:
        """Return its exit code once it has ended."""
        deadline = time.monotonic() + seconds
        while (code := self.code()) is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"process {self.pid} does not end within {seconds:g} s")
            time.sleep(0.005)
        return code

    def finish(self, seconds: float = PATIENCE) -> Any:
        """Return what it says last, after it has ended well."""
        said = self.hear(seconds)
        assert self.wait() == 0, self._workers.errors()
        return said

    def stop(self, seconds: float = PATIENCE) -> Any:
        """Tell it to end, and return what it says last."""
        self.signal(signal.SIGTERM)
        return self.finish(seconds)
