"""``manage.py moloco_pause``."""

from __future__ import annotations

from typing import Any

from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.management.operator_command import OperatorCommand


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

exit status: 0 if it is paused now"""

    def operate(self, using: str, options: dict[str, Any]) -> None:
        """Pause."""
        if Gate(using).change(_pause):
            self.stdout.write("Paused: no relay calls Moloco. Events are recorded and wait.")
        else:
            self.stdout.write("It was paused already.")
        self.stdout.write("Go on with: manage.py moloco_resume")


def _pause(held: Held) -> bool:
    before, held.circuit = held.circuit, held.circuit.pausing(held.now)
    return not before.paused
