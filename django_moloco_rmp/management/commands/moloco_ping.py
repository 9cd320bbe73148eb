"""``manage.py moloco_ping``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

from django_moloco_rmp.conf import get_settings
from django_moloco_rmp.management.operator_command import (
    ExplainedCommand,
    add_destination,
    add_json,
    destinations,
)
from django_moloco_rmp.ping import Pong, ping
from django_moloco_rmp.relay import client_for


class Command(ExplainedCommand):
    """Tries the settings' address and key."""

    help = """\
Tries whether Moloco can be reached at the address of the settings and takes the
API key for the platform, and says what to do if not.

It sends one call without an event: Moloco looks at the key, then at the
platform, then at the body. That it refuses the empty body (400) shows that key
and platform are good; nothing is recorded. (Moloco documents the order for its
own client's tests only: the first event that is delivered is the full proof.)

Where there are several DESTINATIONS, each of them is tried.

It uses neither the database nor the circuit, so it works in a pause or an
outage and changes nothing. The key is not printed."""
    epilog = """\
examples:
  manage.py moloco_ping
  manage.py moloco_ping --json | jq -r .do

exit status: 0 if Moloco was reached and takes the key, of each destination;
else 1; 2 if it was not understood"""
    # Whoever pings may have to be told what is wrong with the settings, in words.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options."""
        add_destination(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Ping each once."""
        try:
            settings = get_settings()
            names = destinations(options, list(settings.destinations))
            clients = {name: client_for(settings.destinations[name]) for name in names}
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        pongs = {}
        for name, client in clients.items():
            with client:
                pongs[name] = pong = ping(client)
            if not options["json"]:
                if len(settings.destinations) > 1:
                    self.stdout.write(f"Destination {name!r}")
                self._say(client.url, pong)
        if options["json"]:
            answers = {
                name: {"url": clients[name].url, **asdict(pong), "enabled": settings.enabled}
                for name, pong in pongs.items()
            }
            self.print_json({"destinations": answers} if len(names) > 1 else answers[names[0]])
        elif not settings.enabled:
            self.stdout.write("MOLOCO_RMP['ENABLED'] is False: no events are recorded or sent.")
        if not all(pong.is_fine for pong in pongs.values()):
            sys.exit(1)

    def _say(self, url: str, pong: Pong) -> None:
        answer = "no answer" if pong.status is None else f"HTTP {pong.status}"
        about = f": {pong.message}" if pong.message else ""
        self.stdout.write(f"{url}\n{answer} after {pong.seconds * 1000:.0f} ms{about}")
        self.stdout.write(f"{'OK' if pong.is_fine else 'Not OK'}: {pong.what}\nTo do: {pong.do}")
