"""
A shop's process: reads commands from its standard input, a JSON list of words in each line, and
answers each with a line of JSON.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import django


@atexit.register
def run_exit_hooks() -> None:
    # Exit hooks run last first: this one after that of the app, which is not there yet.
    for hook in exit_hooks:
        hook()


class ImportWatch:
    """A finder that finds nothing, and keeps in which thread each module was looked for."""

    def __init__(self) -> None:
        self.threads: dict[str, str] = {}

    def find_spec(self, name: str, *_: object) -> None:
        self.threads[name] = threading.current_thread().name


import_watch = ImportWatch()
sys.meta_path.insert(0, import_watch)
django.setup()

from django.contrib.auth.models import Group  # noqa: E402
from django.db import connection, connections, transaction  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from django_moloco_rmp import track  # noqa: E402
from django_moloco_rmp.models import OutboxEvent  # noqa: E402
from django_moloco_rmp.runners.thread import drain  # noqa: E402
from tests.processes.goods import LAMP, SHOPPER  # noqa: E402

exit_hooks: list[Callable[[], object]] = []


class Shop:
    """The commands: each public method is one."""

    def __init__(self) -> None:
        self._atomic: Any = None

    def emit(
        self,
        event_type: str = "ADD_TO_CART",
        count: str = "1",
        using: str = "default",
        destination: str | None = None,
    ) -> list[str | None]:
        """Report events; return their ids."""
        return [
            track(event_type, LAMP, shopper=SHOPPER, using=using, destination=destination)
            for _ in range(int(count))
        ]

    def sell(self, count: str) -> list[Any]:
        """Report orders, each in a transaction of its own; return ids, and seconds each took."""
        ids, took = [], []
        for _ in range(int(count)):
            start = time.perf_counter()
            with transaction.atomic():
                Group.objects.create(name=f"order {os.getpid()} {len(ids)}").delete()
                ids.append(track("PURCHASE", LAMP, shopper=SHOPPER))
            took.append(time.perf_counter() - start)
        return [ids, took]

    def drain_outbox(self, seconds: str) -> None:
        """Do what a worker of a task queue does, for so long."""
        from django_moloco_rmp.runners.draining import drain_outbox  # noqa: PLC0415  (not for all)

        drain_outbox(None, seconds=float(seconds))

    def emit_at_exit(self, *emit: str) -> None:
        """Report events once the app has already ended its thread."""
        exit_hooks.append(partial(self.emit, *emit))

    def view(self) -> list[Any]:
        """View a page: return its event's id, how many queries it made, and if it connected."""
        connections.close_all()
        with CaptureQueriesContext(connection) as queries:
            # Counting queries takes a connection.
            connection.close()
            event_id = track("PAGE_VIEW", LAMP, shopper=SHOPPER)
        return [event_id, len(queries), connection.connection is not None]

    def die_in_commit(self) -> None:
        """Commit an order, and die before anybody is told of it."""
        with transaction.atomic():
            transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
            print(json.dumps(self.emit("PURCHASE")), flush=True)

    def begin(self) -> None:
        """Open a transaction."""
        self._atomic = transaction.atomic()
        self._atomic.__enter__()

    def commit(self) -> None:
        """Commit it."""
        self._atomic.__exit__(None, None, None)

    def rollback(self) -> None:
        """Roll it back."""
        transaction.set_rollback(True)
        self._atomic.__exit__(None, None, None)

    def drain(self) -> None:
        """Do what the app does at the end of a process."""
        drain()

    def threads(self) -> list[list[Any]]:
        """Return name and kind of each thread but the main one."""
        others = (each for each in threading.enumerate() if each is not threading.main_thread())
        return sorted([each.name, each.daemon] for each in others)

    def imports(self) -> dict[str, str]:
        """Return the name of the thread that imported each module."""
        return import_watch.threads

    def query(self) -> int:
        """Use the main thread's own connection."""
        return Group.objects.count()

    def fork(self, *then: str) -> int:
        """Do something in a child that ends normally afterwards; return its exit status."""
        # What a shop that forks has to do with connections of its own.
        connections.close_all()
        pid = os.fork()
        if pid == 0:
            getattr(self, then[0])(*then[1:])
            deadline = time.monotonic() + 20
            while OutboxEvent.objects.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            sys.exit(OutboxEvent.objects.count())
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def leave(self, how: str) -> int:
        """Fork a child that ends in one of several ways; return its exit status."""
        pid = os.fork()
        if pid == 0:
            if how == "close_all":
                connections.close_all()
            gc.collect()
            if how == "exit":
                sys.exit()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def stay(self) -> int:
        """Fork a child that does nothing and stays; return its process id."""
        pid = os.fork()
        while pid == 0:
            signal.pause()
        return pid

    def fork_without_hooks(self, *emit: str) -> int:
        """Report events in a child forked in C, of which Python is not told, as by uWSGI."""
        connections.close_all()
        pid = ctypes.PyDLL(None).fork()
        if pid == 0:
            self.emit(*emit)
            drain()
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def multiprocess(self, *emit: str) -> int:
        """Report events in a process of multiprocessing, by fork; return its exit status."""
        connections.close_all()
        child = multiprocessing.get_context("fork").Process(target=self.emit, args=emit)
        child.start()
        child.join()
        assert child.exitcode is not None
        return child.exitcode


def main() -> None:
    shop = Shop()
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(getattr(shop, command)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
