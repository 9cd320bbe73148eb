"""``manage.py moloco_export``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_moloco_rmp.backlog import Backlog, Kept, known_destinations
from django_moloco_rmp.management.operator_command import (
    OperatorCommand,
    add_destination,
    add_selection,
    destinations,
    events,
    selection,
)


class Command(OperatorCommand):
    """Writes kept events as JSON lines."""

    help = """\
Writes the events that the outbox keeps, pending and rejected, as JSON lines,
oldest first, and changes nothing. "body" is what is, or was, sent to Moloco, to
the letter.

Bodies hold shoppers' identifiers (keyed hashes), IP addresses, user agents and
what people bought: treat the file as personal data. A file is made readable to
you alone, and never written over another."""
    epilog = """\
each line:
  {"event_id": "...", "event_type": "PURCHASE", "destination": "default",
   "state": "rejected", "attempts": 1, "last_status": 400,
   "last_error": "missing page_id",
   "created_at": "2026-01-31T09:30:00+00:00", "body": {...}}

examples:
  manage.py moloco_export --state rejected --output rejected.jsonl
  manage.py moloco_export --type PURCHASE --older-than 1h | jq .body.revenue
  manage.py moloco_export --message page_id | head -3

exit status: 0, even if there is none; 1 if it was not done; 2 if it was not
understood"""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        parser.add_argument(
            "--output",
            metavar="FILE",
            type=Path,
            help="write to a new file (default: standard output)",
        )
        parser.add_argument(
            "--state",
            choices=("pending", "rejected"),
            help="only events in this state (default: both)",
        )
        add_selection(parser)
        add_destination(parser)
        super().add_arguments(parser)

    def operate(self, using: str, options: dict[str, Any]) -> None:
        """Export."""
        backlog = Backlog(using)
        states = [options["state"]] if options["state"] else ["pending", "rejected"]
        names = destinations(options, known_destinations(using))
        keys = backlog.keys(states, replace(selection(options), destinations=tuple(names)))
        path: Path | None = options["output"]
        if path is None:
            self._export(backlog, keys, lambda line: self.stdout.write(line, ending=""))
            return
        try:
            # Not even for a moment readable to others.
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                number = self._export(backlog, keys, file.write)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}.") from error
        self.stdout.write(f"{events(number)} written to {path}.")

    def _export(self, backlog: Backlog, keys: Any, write: Callable[[str], object]) -> int:
        with self.progress("Exporting", len(keys)) as progress:
            for kept in backlog.kept(keys):
                write(_line(kept))
                progress.add(1)
            return progress.done


def _line(kept: Kept) -> str:
    about = {
        "event_id": kept.event_id,
        "event_type": kept.event_type,
        "destination": kept.destination,
        "state": kept.state,
        "attempts": kept.attempts,
        "last_status": kept.last_status,
        "last_error": kept.last_error,
        "created_at": kept.created_at.isoformat(),
    }
    # Not parsed: that could change an amount of money.
    return f'{json.dumps(about)[:-1]}, "body": {kept.payload}}}\n'
