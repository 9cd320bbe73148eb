"""``manage.py moloco_resend``."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_moloco_rmp.backlog import Backlog, Selection, known_destinations
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.management.operator_command import (
    OperatorCommand,
    add_destination,
    add_dry_run,
    add_json,
    add_selection,
    destinations,
    duration,
    events,
    selection,
)
from django_moloco_rmp.protocol import State


class Command(OperatorCommand):
    """Makes rejected events pending again."""

    help = """\
Has rejected events sent again, as they are: once what Moloco refused them for
has been repaired, at Moloco or in the settings. An event keeps its id, so that
Moloco can tell a repeat, and its number of attempts; failures count anew. An
event whose body is at fault will be rejected again.

Say which events, or --all. Nothing is asked: try --dry-run first."""
    epilog = """\
examples:
  manage.py moloco_resend --all --dry-run
  manage.py moloco_resend --status 400 --message "missing page_id"
  manage.py moloco_resend --type PURCHASE --newer-than 3d
  manage.py moloco_resend --all --rate 10       ten become due each second
  manage.py moloco_resend --event-id order-1234
  manage.py moloco_resend --destination de --all

exit status: 0, even if there is none; 1 if it was not done; 2 if it was not
understood"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument("--all", action="store_true", help="all rejected events")
        add_selection(parser)
        parser.add_argument(
            "--rate",
            type=_rate,
            metavar="N",
            help="let N events become due per second, to leave room for new ones"
            " (default: all at once, within MAX_QPS)",
        )
        add_destination(parser)
        add_dry_run(parser)
        add_json(parser)
        super().add_arguments(parser)

    def operate(self, using: str, options: dict[str, Any]) -> None:
        """Resend."""
        chosen = selection(options)
        if options["all"] == (chosen != Selection()):
            raise CommandError("Say which events, or --all for all that were rejected; not both.")
        names = destinations(options, known_destinations(using))
        backlog = Backlog(using)
        keys = backlog.keys(["rejected"], replace(chosen, destinations=tuple(names)))
        number = len(keys)
        if not options["dry_run"]:
            with self.progress("Resending", number) as progress:
                number = progress.follow(backlog.resend(keys, options["rate"]))
        if options["json"]:
            self.print_json({"events": number, "dry_run": options["dry_run"]})
            return
        if options["dry_run"]:
            self.stdout.write(f"{events(number)} would be sent again.")
            return
        self.stdout.write(f"{events(number)} made pending again.")
        if number:
            self._explain(using, names, number, options["rate"])

    def _explain(self, using: str, names: list[str], number: int, rate: float | None) -> None:
        if rate is not None:
            self.stdout.write(f"The last of them becomes due in {duration(number / rate)}.")
        for name in names:
            state = Gate(using, name).look().circuit.state
            if state is not State.CLOSED:
                which = "The circuit" if len(names) == 1 else f"The circuit of {name}"
                self.stdout.write(
                    f"{which} is {state.value}, so they wait: see manage.py moloco_status. "
                    "manage.py moloco_resume has one tried at once."
                )


def _rate(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, such as 10 or 0.5")
    return float(text)
