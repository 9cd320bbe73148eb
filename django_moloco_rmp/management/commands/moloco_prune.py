"""``manage.py moloco_prune``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from django_moloco_rmp.conf import get_settings
from django_moloco_rmp.management.operator_command import (
    OperatorCommand,
    add_dry_run,
    add_json,
    events,
    whole_number,
)
from django_moloco_rmp.outbox import Outbox


class Command(OperatorCommand):
    """Deletes what has been kept long enough."""

    help = """\
Deletes rejected events that have been kept for REJECTED_DAYS, and forgets the
ids of events that were delivered more than DEDUPE_DAYS ago: ids that the shop
chose, such as that of an order, which then count as new should they come again.
Pending events are never deleted.

Relays do this by themselves once an hour when they are idle. Run it to free
room now, or with other numbers of days."""
    epilog = """\
examples:
  manage.py moloco_prune --dry-run
  manage.py moloco_prune --rejected-days 7
  manage.py moloco_prune --rejected-days 0      all rejected events; export
                                                them first: moloco_export

exit status: 0, even if there is nothing; 1 if it was not done; 2 if it was not
understood"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--rejected-days",
            type=whole_number,
            metavar="DAYS",
            help="delete rejected events older than this (default: REJECTED_DAYS)",
        )
        parser.add_argument(
            "--dedupe-days",
            type=whole_number,
            metavar="DAYS",
            help="forget delivered ids older than this (default: DEDUPE_DAYS)",
        )
        add_dry_run(parser)
        add_json(parser)
        super().add_arguments(parser)

    def operate(self, using: str, options: dict[str, Any]) -> None:
        """Prune."""
        rejected = _days(options["rejected_days"], "rejected_days")
        dedupe = _days(options["dedupe_days"], "dedupe_days")
        outbox = Outbox(using)
        ids, kept = outbox.prunable(dedupe=dedupe, rejected=rejected)
        if not options["dry_run"]:
            with self.progress("Deleting rejected events", kept) as progress:
                kept = progress.follow(outbox.prune_rejected(rejected))
            with self.progress("Forgetting delivered ids", ids) as progress:
                ids = progress.follow(outbox.prune_delivered(dedupe))
        if options["json"]:
            self.print_json({"rejected": kept, "delivered_ids": ids, "dry_run": options["dry_run"]})
            return
        would = "would be " if options["dry_run"] else ""
        self.stdout.write(
            f"{events(kept)} that had been rejected {would}deleted, "
            f"{ids:,} id{'' if ids == 1 else 's'} of delivered events {would}forgotten."
        )


def _days(given: int | None, name: str) -> timedelta:
    # The settings may be at fault; who gives both numbers does not need them.
    return timedelta(days=getattr(get_settings(), name) if given is None else min(given, 36_500))
