"""What the operator's commands have in common."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)
from django.db import Error, connections

from django_moloco_rmp.backlog import Selection
from django_moloco_rmp.choices import EventType
from django_moloco_rmp.outbox import default_alias
from django_moloco_rmp.progress import Progress

_LONGEST_AGE = timedelta(days=36_500)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class HelpFormatter(argparse.RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Keeps line breaks, and puts the options common to all commands last."""


class ExplainedCommand(BaseCommand):
    """A command whose help has examples, and says what its exit status means."""

    #: Goes below the options in the help.
    epilog: ClassVar[str] = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return the parser, with the epilog."""
        # Set afterwards, as Django gives one of its own to the constructor.
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.formatter_class = HelpFormatter
        parser.epilog = self.epilog
        return parser

    def print_json(self, values: Any) -> None:
        """Print something for a machine."""
        self.stdout.write(json.dumps(values, indent=2))


class OperatorCommand(ExplainedCommand, ABC):
    """
    A command that looks at the outbox, or does something to it.

    It has to work when the settings are at fault or half of the shop is broken, which is when
    somebody needs it: it runs no checks, and says in one line what it cannot do.
    """

    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the option that all have."""
        parser.add_argument(
            "--database",
            metavar="ALIAS",
            choices=tuple(connections),
            help="the outbox's database, by its name in DATABASES (default: where events go)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what the command is for."""
        using = options["database"] or default_alias()
        try:
            self.operate(using, options)
            self.stdout.flush()
        except BrokenPipeError:
            # Whoever reads has had enough, as `head` does; or Python would complain at its exit.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        except Error as error:
            raise CommandError(
                f"Database {using!r}: {error}. Is it up, and has `manage.py migrate` been run?"
            ) from error

    @abstractmethod
    def operate(self, using: str, options: dict[str, Any]) -> None:
        """
        Do what the command is for.

        :param using: alias of the outbox's database
        """

    def progress(self, label: str, total: int) -> Progress:
        """Return a progress that goes to standard error, away from what a machine reads."""
        write = partial(self.stderr.write, style_func=str, ending="")
        return Progress(write, label, total, is_terminal=bool(self.stderr.isatty()))


def add_destination(parser: CommandParser) -> None:
    """Add ``--destination``; :func:`destinations` reads it."""
    parser.add_argument(
        "--destination",
        metavar="NAME",
        help="only this one, by its name in DESTINATIONS (default: all)",
    )


def destinations(options: dict[str, Any], known: Sequence[str]) -> list[str]:
    """
    Return the names that are meant: of ``known`` the one that was given, or all.

    :raises CommandError: the given one is not known
    """
    name = options["destination"]
    if name is not None and name not in known:
        raise CommandError(f"--destination: there is no {name!r}. Known: {', '.join(known)}.")
    return list(known) if name is None else [name]


def add_json(parser: CommandParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON, for a machine to read")


def add_dry_run(parser: CommandParser) -> None:
    """Add ``--dry-run``."""
    parser.add_argument(
        "--dry-run", action="store_true", help="only say how many there are, and change nothing"
    )


def add_selection(parser: CommandParser) -> None:
    """Add the options that choose events; :func:`selection` reads them."""
    group = parser.add_argument_group(
        "which events", "Options of one kind add up; of several kinds, all have to fit."
    )
    group.add_argument(
        "--type",
        action="append",
        dest="types",
        metavar="TYPE",
        choices=[each.value for each in EventType],
        help=f"of this type: {', '.join(EventType)}; may be given again",
    )
    group.add_argument(
        "--status",
        action="append",
        dest="statuses",
        type=int,
        metavar="HTTP",
        help="whose last answer had this HTTP status, such as 400; may be given again",
    )
    group.add_argument(
        "--message",
        default="",
        metavar="TEXT",
        help="whose last error contains this text; case does not matter",
    )
    group.add_argument(
        "--older-than",
        type=age,
        metavar="AGE",
        help="recorded longer ago than this: 30s, 15m, 2h, 3d or 1w",
    )
    group.add_argument(
        "--newer-than", type=age, metavar="AGE", help="recorded no longer ago than this"
    )
    group.add_argument(
        "--event-id",
        action="append",
        dest="event_ids",
        metavar="ID",
        help="the event of this id; may be given again",
    )


def selection(options: dict[str, Any]) -> Selection:
    """Return what the options of :func:`add_selection` choose."""
    return Selection(
        event_types=_given(options["types"]),
        statuses=_given(options["statuses"]),
        event_ids=_given(options["event_ids"]),
        message=options["message"],
        older_than=options["older_than"],
        newer_than=options["newer_than"],
    )


def _given(values: Sequence[Any] | None) -> tuple[Any, ...]:
    return tuple(values or ())


def age(text: str) -> timedelta:
    """
    Return the time that ``30s``, ``15m``, ``2h``, ``3d`` or ``1w`` stands for.

    :raises argparse.ArgumentTypeError: the text stands for none
    """
    match = re.fullmatch(r"([0-9]{1,5})([smhdw])", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no age: write a number and a unit, as in 30s, 15m, 2h, 3d or 1w"
        )
    # Databases have no dates of long ago.
    return min(timedelta(**{_UNITS[match[2]]: int(match[1])}), _LONGEST_AGE)


def whole_number(text: str) -> int:
    """
    Return a number from 0 up.

    :raises argparse.ArgumentTypeError: the text is none
    """
    if not re.fullmatch("[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 up")
    return int(text)


def duration(seconds: float) -> str:
    """Return a time in words: its two greatest units, as in ``2 h 5 min``."""
    left = int(seconds)
    numbers = []
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        numbers.append((number, name))
    while len(numbers) > 1 and not numbers[0][0]:
        del numbers[0]
    return " ".join(f"{number} {name}" for number, name in numbers[:2] if number) or "0 s"


def events(number: int) -> str:
    """Return a number of events in words."""
    return f"{number:,} event{'' if number == 1 else 's'}"
