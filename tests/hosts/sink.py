"""The sink: the sandbox, on a host of its own, told what to do as a shop is."""

from __future__ import annotations

import json
import sys
from typing import Any

from django_moloco_rmp.sandbox import SandboxServer
from tests.hosts.conversation import converse


class Sink(SandboxServer):
    """Reached by other hosts: they are the test's own, and so are its shoppers."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__(max_calls=1_000_000)
        self._address = address, port

    def told(self) -> list[list[Any]]:
        """Return of each call when it came, its status, and the event's id and time."""
        return [
            [
                call.received_at,
                call.status,
                call.event_id,
                int(json.loads(call.content)["timestamp"]) / 1000,
            ]
            for call in self.calls()
        ]


if __name__ == "__main__":
    with Sink(sys.argv[1], int(sys.argv[2])) as sink:
        converse(sink)
