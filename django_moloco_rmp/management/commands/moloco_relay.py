"""``manage.py moloco_relay``."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections

from django_moloco_rmp.conf import get_settings
from django_moloco_rmp.fleet import Fleet, fleet_from_settings
from django_moloco_rmp.management.operator_command import (
    ExplainedCommand,
    add_destination,
    destinations,
)
from django_moloco_rmp.outbox import Outbox, default_alias


class Command(ExplainedCommand):
    """Runs the relays in this process."""

    help = """\
Sends the events in the outbox to Moloco, until SIGTERM or Ctrl-C. It then
finishes what is being sent, within 20 seconds, and hands back the rest; a second
signal ends it at once, and what was on its way is sent again once its lease has
run out. Any number of relays may run at the same time, on any machines: together
they keep to MAX_QPS and to what Moloco asks for. One process serves all
DESTINATIONS, each with threads of its own to send; or one of them, if it is
named."""
    epilog = """\
examples:
  manage.py moloco_relay                    as a service, beside the web processes
                                            or instead of their threads
  manage.py moloco_relay --until-empty      for cron: sends what is due, and ends
  manage.py moloco_relay --max-events 1     sends one event, to see what happens
  manage.py moloco_relay --destination de   has a process of its own

exit status: 0 if it came to its end, even if events were refused or wait (see
moloco_status); 1 if it could not run: settings at fault, ENABLED is False, or
with --until-empty the database failed; 2 if it was not understood"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--until-empty",
            action="store_true",
            help="end when nothing is due, or nothing may be sent; events that wait for a later "
            "try stay",
        )
        parser.add_argument(
            "--max-events", type=int, metavar="N", help="end after this many events"
        )
        add_destination(parser)
        parser.add_argument(
            "--database",
            metavar="ALIAS",
            choices=tuple(connections),
            help="the outbox's database, by its name in DATABASES (default: where events go)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped, or as far as the options say."""
        if options["max_events"] is not None and options["max_events"] < 1:
            raise CommandError("--max-events takes a number from 1 up.")
        if not get_settings().enabled:
            raise CommandError("MOLOCO_RMP['ENABLED'] is False: nothing is sent.")
        using = options["database"] or default_alias()
        names = destinations(options, list(get_settings().destinations))
        fleet = fleet_from_settings(using, destinations=names)
        _stop_on_signals(fleet)
        tally = fleet.run(until_empty=options["until_empty"], max_events=options["max_events"])
        pending = sum(Outbox(using, name).pending() for name in names)
        self.stdout.write(
            f"delivered {tally.delivered}, to be tried again {tally.rescheduled}, "
            f"rejected {tally.rejected}, handed back {tally.released}; "
            f"{pending} pending"
        )


def _stop_on_signals(fleet: Fleet) -> None:
    def stop(number: int, frame: object) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        fleet.stop()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
