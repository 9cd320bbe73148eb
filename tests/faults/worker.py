"""
Processes for the fault tests: relays and shops that are really killed, stopped and forked.

This module runs as one process that has Django loaded and no connection, and forks a child for each
request: a fresh interpreter for each of some hundred children would take longer than the faults.
A request is a JSON message with the child's end of a socket, over which child and test then speak:
a line of JSON each.
"""

from __future__ import annotations

import io
import json
import logging
import os
import random
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import django
from django.conf import settings

django.setup()

from django.contrib.auth.models import Group  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, connections, transaction  # noqa: E402

from django_moloco_rmp import Item, Money, conf, track  # noqa: E402
from django_moloco_rmp.client import EventClient  # noqa: E402
from django_moloco_rmp.outbox import Outbox  # noqa: E402
from django_moloco_rmp.relay import Relay  # noqa: E402
from django_moloco_rmp.runners import thread  # noqa: E402
from tests.outbox.samples import somebody  # noqa: E402

LAMP = Item("lamp", price=Money("19.90", "EUR"), quantity=1)
#: What ends a server's connection, and what tells its number.
KILL = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL CONNECTION %s"}
NUMBER = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}


class Log(logging.Handler):
    """Counts what the package logs; the text goes to the standard error as well."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.seen[f"{record.levelname}: {str(record.msg)[:60]}"] += 1


LOG = Log()


def memory() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Line:
    """The child's end of the conversation."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._file = end.makefile("rw")

    def say(self, value: Any) -> None:
        with suppress(BrokenPipeError):  # the test may not wait for it
            self._file.write(json.dumps(value) + "\n")
            self._file.flush()

    def hear(self) -> Any:
        line = self._file.readline()
        return json.loads(line) if line else None


def shift_clock(seconds: float) -> None:
    """Let this process see another time than its database does, wherever Python asks for it."""
    clock, clock_ns = time.time, time.time_ns
    time.time = lambda: clock() + seconds
    time.time_ns = lambda: clock_ns() + int(seconds * 1_000_000_000)


class Losses:
    """
    Ends this process's own connection, from another one, just before a statement of a kind.

    :param plan: which of them, e.g. ``{"claim": [3, 5], "settle": [2]}``; and the next statement
        of any kind at each SIGUSR1
    """

    def __init__(self, plan: dict[str, list[int]]) -> None:
        self._plan = plan
        self._seen: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self._is_asked = False
        signal.signal(signal.SIGUSR1, self._ask)

    def _ask(self, *_: object) -> None:
        self._is_asked = True

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        kind = self._kind(sql)
        if self._is_asked:
            self._is_asked = False
            self.done["any"] += 1
            self._cut(context["connection"])
        elif kind is not None:
            self._seen[kind] += 1
            if self._seen[kind] in self._plan.get(kind, ()):
                self.done[kind] += 1
                self._cut(context["connection"])
        return execute(sql, params, many, context)

    @staticmethod
    def _kind(sql: str) -> str | None:
        if "outboxevent" not in sql:
            return None
        if sql.startswith("UPDATE") and re.search(r"attempts[\"`] \+ ", sql):
            return "claim"
        return "settle" if sql.startswith("DELETE") else None

    @staticmethod
    def _cut(victim: Any) -> None:
        other = victim.copy("cutter")
        try:
            with victim.wrap_database_errors, victim.connection.cursor() as cursor:
                cursor.execute(NUMBER[victim.vendor])
                (number,) = cursor.fetchone()
            with other.cursor() as cursor:
                cursor.execute(KILL[victim.vendor], [number])
        finally:
            other.close()


def report(relay: Relay, losses: Losses | None) -> dict[str, Any]:
    return {
        "tally": asdict(relay.tally),
        "log": dict(LOG.seen),
        "memory": memory(),
        "losses": dict(losses.done) if losses else {},
    }


def run_relay(line: Line, options: dict[str, Any]) -> None:
    """A relay with plain arguments, until SIGTERM or as far as ``run`` says; it reports then."""
    if "clock_shift" in options:
        shift_clock(options.pop("clock_shift"))
    run = options.pop("run", {})
    losses = Losses(options.pop("lose")) if "lose" in options else None
    timeout = options.pop("timeout", [3.0, 10.0])
    with EventClient(
        "SHOP_TEST", "test-key", base_url=options.pop("url"), timeout=tuple(timeout)
    ) as client:
        relay = Relay(
            Outbox("default"), client.insert_body, **{"send_seconds": sum(timeout), **options}
        )
        signal.signal(signal.SIGTERM, lambda *_: relay.stop())
        line.say({"ready": os.getpid()})
        if losses is None:
            relay.run(**run)
        else:
            with connection.execute_wrapper(losses):
                relay.run(**run)
    line.say(report(relay, losses))


def run_command(line: Line, options: dict[str, Any]) -> None:
    """``manage.py moloco_relay`` with settings and arguments; says what it has printed."""
    arguments = options.pop("arguments", [])
    configure(options)
    out = io.StringIO()
    line.say({"ready": os.getpid()})
    call_command("moloco_relay", *arguments, stdout=out, skip_checks=True)
    line.say({"said": out.getvalue(), "log": dict(LOG.seen)})


def configure(options: dict[str, Any]) -> None:
    settings.MOLOCO_RMP = {**settings.MOLOCO_RMP, **options}
    conf.get_settings.cache_clear()


class Shop:
    """A shop's commands: each public method is one."""

    def __init__(self) -> None:
        self._sold: list[str] = []

    def emit(self, event_type: str = "ADD_TO_CART", count: int = 1) -> list[str | None]:
        """Report events, each in a transaction of its own; return their ids."""
        return [track(event_type, LAMP, shopper=somebody()) for _ in range(count)]

    def die_after_commit(self, count: int) -> None:
        """Commit events, and die before anybody could be woken."""
        with transaction.atomic():
            transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
            for number in range(count):
                track("PURCHASE", LAMP, shopper=somebody(), event_id=f"order-{number}")

    def die_before_commit(self) -> None:
        """Write an event, and die before the commit."""
        with transaction.atomic():
            track("PURCHASE", LAMP, shopper=somebody(), event_id="order-lost")
            os.kill(os.getpid(), signal.SIGKILL)

    def roll_back(self, count: int) -> dict[str, list[str | None]]:
        """Roll back in each of the ways there are; return ids by what became of them."""
        kept: list[str | None] = []
        undone: list[str | None] = []

        def report_on(ids: list[str | None]) -> None:
            ids.append(track("PURCHASE", LAMP, shopper=somebody()))
            ids.append(track("ITEM_PAGE_VIEW", LAMP, shopper=somebody()))

        for _ in range(count):
            with transaction.atomic():
                report_on(undone)
                transaction.set_rollback(True)
            with transaction.atomic():
                report_on(kept)
                with suppress(LookupError), transaction.atomic():
                    report_on(undone)
                    raise LookupError
                report_on(kept)
            with suppress(LookupError), transaction.atomic():
                report_on(undone)
                with transaction.atomic():
                    report_on(undone)
                raise LookupError
            report_on(kept)
        thread.drain()
        return {"kept": kept, "undone": undone}

    def sell(self, count: int, pause: float = 0.0) -> dict[str, Any]:
        """
        Sell: each time a transaction with rows of the shop's own and an event.

        :return: the ids, each error's text, and how long each transaction took, seconds
        """
        ids: list[str | None] = []
        errors: list[str] = []
        took: list[float] = []
        for number in range(count):
            start = time.perf_counter()
            try:
                with transaction.atomic():
                    group = Group.objects.create(name=f"order {os.getpid()} {number}")
                    event_id = track("PURCHASE", LAMP, shopper=somebody())
                    Group.objects.filter(pk=group.pk).update(name=f"{group.name} paid")
                    Group.objects.filter(pk=group.pk).delete()
                ids.append(event_id)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
            took.append(time.perf_counter() - start)
            if pause:
                time.sleep(pause * random.random())
        return {"ids": ids, "errors": errors, "took": took}

    def start_selling(self, qps: float, seed: int) -> bool:
        """Begin to report events at random moments, so many a second, until :meth:`sold`."""
        self._closing = threading.Event()
        self._errors: list[str] = []
        chance = random.Random(seed)

        def run() -> None:
            while not self._closing.wait(chance.expovariate(qps)):
                try:
                    event_id = track("PURCHASE", LAMP, shopper=somebody())
                    assert event_id is not None
                    self._sold.append(event_id)
                except Exception as error:
                    self._errors.append(f"{type(error).__name__}: {error}")
            connections.close_all()

        self._seller = threading.Thread(target=run)
        self._seller.start()
        return True

    def sold(self) -> dict[str, Any]:
        """End that; return the ids and errors."""
        self._closing.set()
        self._seller.join()
        return {"ids": self._sold, "errors": self._errors, "memory": memory()}

    def fork(self, count: int) -> list[str | None]:
        """Report events in a child that ends normally; return what it has reported."""
        connections["default"].close()  # as a shop that forks has to
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            ids = self.emit("PURCHASE", count)
            os.write(write, json.dumps([ids, self.threads()]).encode())
            thread.drain()
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as file:
            said: list[str | None] = json.loads(file.read())
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return said

    def threads(self) -> int:
        """Return how many threads of the package's own there are, the senders left out."""
        return sum(each.name == "moloco-rmp" for each in threading.enumerate())

    def query(self) -> int:
        """Use the main thread's own connection."""
        return Group.objects.count()


def set_up_queue(broker: str | None, backend: str | None) -> None:
    """What a shop's project does for Celery, and for Django's tasks."""
    if broker is not None:
        from celery import Celery  # noqa: PLC0415  (may be missing)

        Celery("shop", broker=broker).set_default()
    if backend is not None:
        settings.TASKS = {"default": {"BACKEND": backend}}


def run_shop(line: Line, options: dict[str, Any]) -> None:
    """A shop, which does what it is told until there is nobody to tell it."""
    if "clock_shift" in options:
        shift_clock(options.pop("clock_shift"))
    set_up_queue(options.pop("broker", None), options.pop("backend", None))
    configure(options)
    shop = Shop()
    line.say({"ready": os.getpid()})
    while words := line.hear():
        command, *arguments = words
        line.say(getattr(shop, command)(*arguments))


KINDS: dict[str, Callable[[Line, dict[str, Any]], None]] = {
    "relay": run_relay,
    "command": run_command,
    "shop": run_shop,
}


def main() -> None:
    door = socket.socket(fileno=int(sys.argv[1]))
    logging.getLogger("django_moloco_rmp").addHandler(LOG)
    running: set[int] = set()
    while True:
        message, fds, _, _ = socket.recv_fds(door, 65536, 1)
        if not message:
            # Whoever wanted them has ended, or was ended.
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            return
        request = json.loads(message)
        if "reap" in request:
            pid, status = os.waitpid(request["reap"], os.WNOHANG)
            running.discard(pid)
            answer = os.waitstatus_to_exitcode(status) if pid else None
            door.send(json.dumps(answer).encode())
            continue
        end = socket.socket(fileno=fds[0])
        pid = os.fork()
        if pid == 0:
            door.close()
            random.seed()
            KINDS[request["kind"]](Line(end), request["options"])
            return
        end.close()
        running.add(pid)
        door.send(json.dumps(pid).encode())


if __name__ == "__main__":
    main()
