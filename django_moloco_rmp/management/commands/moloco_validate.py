"""``manage.py moloco_validate``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)

from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.wire import loads

#: The longest line that is looked at, in bytes; an event has a few kilobytes at most.
MAX_LINE = 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_EPILOG = """\
example:
  echo '{"id": "1", "event_type": "HOME", "channel_type": "SITE"}' | manage.py moloco_validate -

  line 1: timestamp: must be an int of milliseconds, not NoneType.
    Pass int(moment.timestamp() * 1000).
  1 event, 1 invalid

exit status: 0 if all events are valid, 1 if one is not, 2 if the file cannot be read
"""


class _Formatter(argparse.RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Keeps line breaks, and puts the options common to all commands last."""


@dataclass(slots=True)
class _Count:
    events: int = 0
    invalid: int = 0


class Command(BaseCommand):
    """Checks events in a file, one line at a time."""

    help = (
        "Checks events offline, by the rules that the package applies before it sends one.\n"
        "The file has one event in each line, as the JSON body that is posted to Moloco. Of an\n"
        "invalid event the first fault is named, with its line, its field, the rule and the fix."
    )
    # It reads nothing but the file.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Add file and format."""
        parser.formatter_class = _Formatter
        parser.epilog = _EPILOG
        parser.add_argument(
            "file", metavar="FILE", help="JSON lines in UTF-8; - for standard input"
        )
        parser.add_argument(
            "--json",
            action="store_true",
            help="print JSON lines: one for each fault (line, field, rule, fix), and at the end "
            "one with the counts (events, invalid)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print each fault as it is found, then the counts."""
        write = self._write_json if options["json"] else self._write
        try:
            with _opened(options["file"]) as file:
                count = self._check(file, write)
        except OSError as error:
            raise CommandError(
                f"{options['file']} cannot be read: {error.strerror}.", returncode=2
            ) from None
        if options["json"]:
            self.stdout.write(json.dumps({"events": count.events, "invalid": count.invalid}))
        else:
            events = "1 event" if count.events == 1 else f"{count.events} events"
            self.stdout.write(f"{events}, {count.invalid or 'none'} invalid")
        if count.invalid:
            sys.exit(1)

    def _check(self, file: BinaryIO, write: Any) -> _Count:
        count = _Count()
        for number, line in _lines(file):
            count.events += 1
            try:
                if line is None:
                    raise InvalidEventError(
                        "body", f"is longer than {MAX_LINE} bytes", "Write one event in each line."
                    )
                loads(line)
            except InvalidEventError as error:
                count.invalid += 1
                write(number, error)
        return count

    def _write(self, number: int, error: InvalidEventError) -> None:
        self.stdout.write(f"line {number}: {error.field}: {error.rule}.\n  {error.fix}")

    def _write_json(self, number: int, error: InvalidEventError) -> None:
        fault = {"line": number, "field": error.field, "rule": error.rule, "fix": error.fix}
        self.stdout.write(json.dumps(fault))


def _opened(name: str) -> AbstractContextManager[BinaryIO]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    return Path(name).open("rb")


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield lines that are not blank, with their numbers; None in place of one too long."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        elif line.strip():
            yield number, line
