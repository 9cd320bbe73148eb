"""Threads with connections of their own, and how to end one of these."""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.db import connection, connections


class Workers:
    """Threads that run until they are done; each closes its connections."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self.errors: list[Exception] = []

    def start(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception as error:
                self.errors.append(error)
            finally:
                connections.close_all()

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        assert self.errors == []


def connection_number() -> int:
    """What the server calls this thread's connection."""
    raw = connection.connection
    return int(raw.info.backend_pid if connection.vendor == "postgresql" else raw.thread_id())


def end_connection(number: int, using: str = "default") -> None:
    """Have the server end a connection, by another one."""
    statement = {
        # Which waits until it has ended.
        "postgresql": "SELECT pg_terminate_backend(%s, 30000)",
        "mysql": "KILL CONNECTION %s",
    }[connection.vendor]
    with connections[using].cursor() as cursor:
        cursor.execute(statement, [number])
