"""``manage.py moloco_pause``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from django_moloco_rmp.backlog import known_destinations
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.management.operator_command import (
    OperatorCommand,
    add_destination,
    destinations,
)


class Command(OperatorCommand):
    """Stops all relays from calling Moloco."""

    help = """\
Stops every relay from calling Moloco, in every process, until moloco_resume.

The shop goes on recording events; they wait in the outbox. Events that a relay
has taken up already are still sent: that takes seconds, and is at most
BATCH_SIZE events for each relay. To pause what is paused changes nothing."""
    epilog = """\
examples:
  manage.py moloco_pause      before Moloco's maintenance, or when events are
                              wrong and more of them would do harm
  manage.py moloco_status     shows the pause, and how many events wait
  manage.py moloco_pause --destination de

exit status: 0 if it is paused now"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        add_destination(parser)
        super().add_arguments(parser)

    def operate(self, using: str, options: dict[str, Any]) -> None:
        """Pause."""
        known = known_destinations(using)
        for name in destinations(options, known):
            text = "It was paused already."
            if Gate(using, name).change(_pause):
                text = "Paused: no relay calls Moloco. Events are recorded and wait."
            self.stdout.write(text if len(known) == 1 else f"{name}: {text}")
        one = f" --destination {options['destination']}" if options["destination"] else ""
        self.stdout.write(f"Go on with: manage.py moloco_resume{one}")


def _pause(held: Held) -> bool:
    before, held.circuit = held.circuit, held.circuit.pausing(held.now)
    return not before.paused
