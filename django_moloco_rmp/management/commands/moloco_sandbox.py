"""``manage.py moloco_sandbox``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from django_moloco_rmp.management.operator_command import HelpFormatter
from django_moloco_rmp.sandbox.cli import DESCRIPTION, EPILOG, add_arguments, run


class Command(BaseCommand):
    """Runs the sandbox for the platform of the settings."""

    help = DESCRIPTION
    # It takes no part in the shop: it has to start while the settings are still being written.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the sandbox's options; the settings give platform and key, if they have them."""
        parser.formatter_class = HelpFormatter
        parser.epilog = EPILOG
        add_arguments(parser, **_credentials(getattr(settings, "MOLOCO_RMP", None)))

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until Ctrl-C or SIGTERM."""
        status = run(argparse.Namespace(**options), stdout=self.stdout, stderr=self.stderr)
        if status:
            sys.exit(status)


def _credentials(moloco_rmp: object) -> dict[str, str]:
    """Return the settings' own credentials, or those of their first destination."""
    values: object = moloco_rmp
    if isinstance(values, Mapping) and "PLATFORM_ID" not in values:
        entries = values.get("DESTINATIONS")
        if isinstance(entries, Mapping) and entries:
            values = next(iter(entries.values()))
    if not isinstance(values, Mapping):
        return {}
    return {
        argument: value
        for argument, key in (("platform_id", "PLATFORM_ID"), ("api_key", "API_KEY"))
        if isinstance(value := values.get(key), str) and value
    }
