"""What each fault is given: processes, a sandbox, the outbox, and how to judge what came of it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.db import connection

from django_moloco_rmp.models import Gate, OutboxEvent
from django_moloco_rmp.sandbox import SandboxServer
from django_moloco_rmp.sandbox.inbox import Call
from django_moloco_rmp.wire import dumps
from tests.faults.processes import PATIENCE, Child, Workers
from tests.outbox.samples import event

State = OutboxEvent.State
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of it: the short form is for everybody's tests, the long one for the table."""

    is_long: bool
    #: Seconds of the soak.
    soak: float = 600.0

    def of(self, short: Any, long: Any) -> Any:
        """Return the one or the other."""
        return long if self.is_long else short


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a fault: events by number, and what was measured, in words."""

    offered: int
    received_unique: int
    duplicates: int
    lost: int
    detail: str = ""


class Sandbox(SandboxServer):
    """A sandbox that keeps every call."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_calls=1_000_000, **options)

    def accepted(self) -> list[Call]:
        """The calls that were answered with a success, the answer lost or not."""
        return [call for call in self.calls() if 200 <= call.status < 300]


def wait_until(
    condition: Callable[[], object], what: str, seconds: float = PATIENCE, pace: float = 0.005
) -> float:
    """Return how long it took until a condition holds; fail if it does not in good time."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() < start + seconds, f"not within {seconds:g} s: {what}"
        time.sleep(pace)
    return time.monotonic() - start


class Bench:
    """
    One database with what is needed to break things on it.

    :param database: its name in the table
    :param say: told how it goes
    """

    def __init__(
        self,
        database: str,
        scale: Scale,
        workers: Workers,
        say: Callable[[str], object] = lambda text: None,
    ) -> None:
        self.database = database
        self.scale = scale
        self.say = say
        self.chance = random.Random(database)
        self._workers = workers

    @contextmanager
    def children(self) -> Iterator[Crew]:
        """Start children in here; what still runs at the end is killed."""
        with ExitStack() as stack:
            yield Crew(self._workers, stack)

    def clear(self) -> None:
        """Begin with an empty outbox and a gate that knows nothing."""
        rows = OutboxEvent.objects.all()
        rows._raw_delete(rows.db)  # a million of them, too
        Gate.objects.all().delete()

    def record_many(self, count: int, **columns: Any) -> list[str]:
        """Write events to the outbox, each of another shopper; return their ids in order."""
        body = dumps(event("the id"))
        ids = [str(uuid4()) for _ in range(count)]
        OutboxEvent.objects.bulk_create(
            (
                OutboxEvent(
                    **{
                        "event_id": event_id,
                        "event_type": "ADD_TO_CART",
                        "payload": body.replace("the id", event_id),
                        "identifier": event_id[:32],
                        **columns,
                    }
                )
                for event_id in ids
            ),
            batch_size=_BATCH,
        )
        return ids

    def pending(self) -> int:
        """How many events wait, those in flight included."""
        return OutboxEvent.objects.filter(state=State.PENDING).count()

    def wait_until_empty(self, seconds: float = PATIENCE) -> float:
        """Return how long it took until nothing was pending."""
        # Not too often: who counts takes the server's time, and this process's, for the sandbox.
        return wait_until(lambda: not self.pending(), "an empty outbox", seconds, pace=0.05)

    def judge(
        self,
        sandbox: Sandbox,
        offered: Iterable[str | None],
        detail: str = "",
        *,
        undone: Iterable[str | None] = (),
        most_duplicates: int | None = 0,
    ) -> Outcome:
        """
        Hold what was received against what was offered: nothing lost, and nothing made up.

        :param offered: ids of the events whose transactions were committed
        :param undone: ids of those that were rolled back
        :param most_duplicates: None for no limit
        """
        wanted = {each for each in offered if each is not None}
        times = Counter(call.event_id for call in sandbox.accepted())
        kept = set(
            OutboxEvent.objects.filter(state__in=[State.PENDING, State.REJECTED])
            .order_by()
            .values_list("event_id", flat=True)
        )
        lost = wanted - times.keys() - kept
        duplicates = sum(times.values()) - len(times)
        assert not lost, f"{len(lost)} events lost"
        strange = times.keys() - wanted
        assert not strange & set(undone), "an event was sent that had been rolled back"
        assert not strange, f"{len(strange)} events sent that nobody had committed"
        if most_duplicates is not None:
            assert duplicates <= most_duplicates, f"{duplicates} duplicates"
        return Outcome(len(wanted), len(times), duplicates, len(lost), detail)


class Crew:
    """The children of one fault."""

    def __init__(self, workers: Workers, stack: ExitStack) -> None:
        self._workers = workers
        self._stack = stack

    def start(self, kind: str, **options: Any) -> Child:
        """Start one, as :meth:`Workers.start` does; see the kinds of :mod:`tests.faults.worker`."""
        return self._stack.enter_context(self._workers.start(kind, **options))

    def relay(self, sandbox: Sandbox, **options: Any) -> Child:
        """A relay with arguments of its own."""
        return self.start("relay", url=sandbox.url, **options)

    def command(self, sandbox: Sandbox, *arguments: str, **moloco_rmp: Any) -> Child:
        """``manage.py moloco_relay`` with arguments and settings."""
        return self.start("command", BASE_URL=sandbox.url, arguments=arguments, **moloco_rmp)

    def shop(self, **moloco_rmp: Any) -> Child:
        """A shop's process, once it is ready; without a relay of its own unless RELAY says so."""
        return self.start("shop", **{"RELAY": "command", **moloco_rmp}).ready()


def is_sqlite() -> bool:
    """Whether the database is a file with one writer at a time."""
    return connection.vendor == "sqlite"
