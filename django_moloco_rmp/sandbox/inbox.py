"""What the sandbox has received, kept in memory within bounds."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypedDict

from django_moloco_rmp.sandbox.rules import parse

#: How many calls are kept, and how many bytes of their bodies; the oldest go first.
MAX_CALLS = 10_000
MAX_BYTES = 64 * 1024 * 1024
#: How many calls the page is given at once.
MAX_LIVE = 500


class Received(TypedDict):
    """One call: UTC time of arrival (ISO 8601), the status it was answered, its parsed body.

    The status is 0 when the connection was dropped before the event was accepted. A body that is
    not JSON is its text.
    """

    received_at: str
    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it is kept. ``number`` counts from 1 since the start."""

    number: int
    received_at: float
    status: int
    message: str
    content: bytes
    event_id: str | None
    duplicate: bool

    def as_received(self) -> Received:
        """Return what ``GET /events`` shows of it."""
        moment = datetime.fromtimestamp(self.received_at, UTC).isoformat(timespec="milliseconds")
        try:
            body = parse(self.content)
        except ValueError:
            body = self.content.decode(errors="replace")
        return {
            "received_at": moment.replace("+00:00", "Z"),
            "status": self.status,
            "body": body,
        }


class Inbox:
    """The calls received, oldest first. May be used from several threads."""

    def __init__(self, max_calls: int = MAX_CALLS, max_bytes: int = MAX_BYTES) -> None:
        self._max_calls = max_calls
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._number = 0
        self._empty()

    def _empty(self) -> None:
        self._calls: deque[Call] = deque()
        self._bytes = 0
        self._accepted_ids: Counter[str] = Counter()
        self._totals = Counter(received=0, accepted=0, refused=0, duplicates=0)
        # Tells a page that what it shows is gone, be it by clear() or by a restart.
        self._generation = secrets.token_hex(8)

    def record(
        self, received_at: float, status: int, message: str, content: bytes, event: object
    ) -> None:
        """
        Keep one call.

        ``received_at`` is in seconds since the epoch; ``event`` is the parsed ``content``, or None.
        An accepted event whose id was accepted before is a duplicate.
        """
        event_id = event.get("id") if isinstance(event, dict) else None
        if not isinstance(event_id, str) or not event_id:
            event_id = None
        accepted = 200 <= status < 300
        with self._changed:
            duplicate = accepted and event_id is not None and self._accepted_ids[event_id] > 0
            self._number += 1
            self._calls.append(
                Call(self._number, received_at, status, message, content, event_id, duplicate)
            )
            self._bytes += len(content)
            if accepted and event_id is not None:
                self._accepted_ids[event_id] += 1
            self._totals["received"] += 1
            self._totals["accepted" if accepted else "refused"] += 1
            self._totals["duplicates"] += duplicate
            while len(self._calls) > self._max_calls or self._bytes > self._max_bytes:
                self._drop_oldest()
            self._changed.notify_all()

    def _drop_oldest(self) -> None:
        call = self._calls.popleft()
        self._bytes -= len(call.content)
        if call.event_id is not None and 200 <= call.status < 300:
            self._accepted_ids[call.event_id] -= 1
            if not self._accepted_ids[call.event_id]:
                del self._accepted_ids[call.event_id]

    def calls(self) -> list[Call]:
        """Return the calls kept, oldest first."""
        with self._changed:
            return list(self._calls)

    def events(self) -> list[Received]:
        """Return the calls kept in the form of ``GET /events``, oldest first."""
        return [call.as_received() for call in self.calls()]

    def wait_for(self, count: int, timeout: float) -> list[Received]:
        """Return the calls kept once they are ``count``; raise TimeoutError after ``timeout`` s."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._calls) >= count, timeout):
                raise TimeoutError(
                    f"{len(self._calls)} of {count} calls received within {timeout:g} s"
                )
        return self.events()

    def clear(self) -> int:
        """Forget all calls and counts; return how many calls were kept."""
        with self._changed:
            count = len(self._calls)
            self._empty()
            return count

    def live(self, generation: str, after: int) -> dict[str, Any]:
        """
        Return what a page has to add that has seen all calls of a generation up to ``after``.

        At most the newest :data:`MAX_LIVE` calls; all of these, if the generation is not this one.
        """
        with self._changed:
            if generation != self._generation:
                after = 0
            newest = islice(reversed(self._calls), MAX_LIVE)
            calls = [call for call in newest if call.number > after]
            answer = {
                "generation": self._generation,
                "last": self._number,
                "totals": dict(self._totals),
            }
        return answer | {
            "events": [
                {
                    **call.as_received(),
                    "number": call.number,
                    "message": call.message,
                    "duplicate": call.duplicate,
                }
                for call in reversed(calls)
            ]
        }
