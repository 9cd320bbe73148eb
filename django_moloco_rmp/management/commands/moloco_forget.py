"""``manage.py moloco_forget``."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_moloco_rmp.backlog import Backlog
from django_moloco_rmp.conf import get_settings
from django_moloco_rmp.gate import Gate, Held, present_gates
from django_moloco_rmp.identity import hash_identifier
from django_moloco_rmp.management.operator_command import (
    OperatorCommand,
    add_dry_run,
    add_json,
    events,
)
from django_moloco_rmp.shopper import identifier_key


class Command(OperatorCommand):
    """Removes a shopper's events."""

    help = """\
Removes a shopper's events from the outbox, pending and rejected ones, those on
their way included (such a call may still arrive), and takes the shopper's mark
off the ids that are kept of delivered events. The whole outbox is looked
through, page by page.

USER_ID is the id that the shop knows the shopper by, which is what
MOLOCO_RMP['USER_ID'] gives (by default the user's primary key), or its hash, the
user_id in an event's body: 64 hexadecimal digits. Raw ids are hashed with the
present HASH_KEY: of events recorded under another key give the hash."""
    epilog = """\
what this does not do:
  Events that Moloco has accepted have to be deleted there, by its Management
  API, with the hash as user_id. Within 30 days Moloco deletes what it has:
    POST https://<platform>-mgmt.mcm-api.moloco.com
         /rmp/mgmt/v1/platforms/<PLATFORM_ID>/data-deletion-requests/user-events
    {"identifiers": [{"user_id": "<the hash>"}]}
  docs/operations.md shows how to get the hash of an id.

  Events from before the shopper signed in have no user_id, but that of the
  browser. Nothing in the outbox says whose browser it is, and others may use
  it, so they stay, and are soon delivered. Moloco can delete by user_id only.

  Events in the memory of a web process are not in the outbox yet, for less than
  a second as a rule: close the shopper's account first, then run this.

examples:
  manage.py moloco_forget 4711 --dry-run
  manage.py moloco_forget 4711
  manage.py moloco_forget -- -4711              an id that begins with a dash

exit status: 0, even if there is none; 1 if it was not done; 2 if it was not
understood. The id is not printed."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the arguments."""
        parser.add_argument("user_id", metavar="USER_ID", help="the shopper's id, raw or hashed")
        add_dry_run(parser)
        add_json(parser)
        super().add_arguments(parser)

    def operate(self, using: str, options: dict[str, Any]) -> None:
        """Forget."""
        hashes = _hashes(options["user_id"])
        backlog = Backlog(using)
        number = marks = 0
        with self.progress("Looking through the outbox", backlog.size()) as progress:
            for traces in backlog.traces(hashes):
                progress.add(traces.looked_at)
                if options["dry_run"]:
                    found = len(traces.events), len(traces.delivered)
                else:
                    found = backlog.forget(traces)
                number += found[0]
                marks += found[1]
        if not options["dry_run"]:
            for gate in present_gates(using):
                _forget_throttled(gate, hashes)
        if options["json"]:
            self.print_json(
                {"events": number, "delivered_ids": marks, "dry_run": options["dry_run"]}
            )
            return
        would = "would be " if options["dry_run"] else ""
        self.stdout.write(
            f"{events(number)} {would}removed, "
            f"{marks:,} kept id{'' if marks == 1 else 's'} of delivered events {would}cleared.\n"
            "What Moloco has accepted has to be deleted there: see --help."
        )


def _hashes(user_id: str) -> list[str]:
    # As shopper.py takes it.
    text = user_id.strip()
    if not text:
        raise CommandError("USER_ID is blank.")
    found = [hash_identifier("user_id", text, identifier_key(get_settings()))]
    # A shop's own ids may look like hashes, too.
    if re.fullmatch("[0-9a-fA-F]{64}", text):
        found.append(text.lower())
    return found


def _forget_throttled(gate: Gate, hashes: list[str]) -> None:
    def is_theirs(name: str) -> bool:
        return bool(name) and any(each.startswith(name) for each in hashes)

    def forget(held: Held) -> None:
        throttled = {
            name: entry for name, entry in held.pace.throttled.items() if not is_theirs(name)
        }
        held.pace = replace(held.pace, throttled=throttled)

    if any(map(is_theirs, gate.look().pace.throttled)):
        gate.change(forget)
