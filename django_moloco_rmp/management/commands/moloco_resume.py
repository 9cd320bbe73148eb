"""``manage.py moloco_resume``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from django_moloco_rmp.backlog import Backlog, known_destinations
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.management.operator_command import (
    OperatorCommand,
    add_destination,
    destinations,
)
from django_moloco_rmp.protocol import State


class Command(OperatorCommand):
    """Lets relays call Moloco again."""

    help = """\
Ends a pause; and if Moloco's server was failing, lets a relay try it at once
instead of at the next probe, up to 15 minutes later. It is safe at any time:
while the server fails, that is one call."""
    epilog = """\
examples:
  manage.py moloco_resume     after moloco_pause
  manage.py moloco_resume     after an outage, or when the API key has been
                              repaired, so as not to wait for the next probe
  manage.py moloco_status     shows what came of it

exit status: 0 if it is not paused now"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        add_destination(parser)
        super().add_arguments(parser)

    def operate(self, using: str, options: dict[str, Any]) -> None:
        """Resume."""
        known = known_destinations(using)
        for name in destinations(options, known):
            text = _resumed(using, name)
            self.stdout.write(text if len(known) == 1 else f"{name}: {text}")


def _resumed(using: str, destination: str) -> str:
    was_paused, state = Gate(using, destination).change(_resume)
    if state is State.CLOSED:
        return "Resumed: events are sent." if was_paused else "It was not paused; all is well."
    text = (
        "A relay tries one event now; if Moloco accepts it, the others follow."
        if Backlog(using, destination).make_one_due()
        else "Nothing waits: the next event is the one that a relay tries."
    )
    return f"Resumed. {text}" if was_paused else text


def _resume(held: Held) -> tuple[bool, State]:
    was_paused = held.circuit.paused
    held.circuit = held.circuit.resuming(held.now)
    return was_paused, held.circuit.state
