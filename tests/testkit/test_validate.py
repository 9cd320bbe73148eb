"""manage.py moloco_validate."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import django_moloco_rmp
from django_moloco_rmp.management.commands.moloco_validate import MAX_LINE
from django_moloco_rmp.wire import dumps
from tests.outbox.samples import event

VALID = dumps(event("valid"))
NO_QUERY = VALID.replace("ADD_TO_CART", "SEARCH")


def validate(path: Path | str, **options: Any) -> tuple[str, int]:
    """Return what the command printed, and its exit status."""
    printed = io.StringIO()
    try:
        call_command("moloco_validate", str(path), stdout=printed, **options)
    except SystemExit as ended:
        return printed.getvalue(), int(ended.code or 0)
    return printed.getvalue(), 0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_valid_events_pass(file: Path) -> None:
    file.write_text(f"{VALID}\n\n  \n{VALID}")
    assert validate(file) == ("2 events, none invalid\n", 0)


def test_each_fault_is_named_with_line_field_rule_and_fix(file: Path) -> None:
    file.write_text(f"{NO_QUERY}\n\n{VALID}\n{{\n{VALID.replace('lamp', '')}\n")
    assert validate(file) == (
        "line 1: search_query: is required for SEARCH.\n"
        "  Pass what the shopper searched for.\n"
        "line 4: body: is not JSON.\n"
        "  Pass a JSON object.\n"
        "line 5: items[0].id: is missing, and so is item_group_id.\n"
        "  Pass the product's catalogue id.\n"
        "4 events, 3 invalid\n",
        1,
    )


def test_for_machines_there_is_json(file: Path) -> None:
    file.write_text(f"{VALID}\n{NO_QUERY}\n")
    printed, status = validate(file, json=True)
    assert status == 1
    assert [json.loads(line) for line in printed.splitlines()] == [
        {
            "line": 2,
            "field": "search_query",
            "rule": "is required for SEARCH",
            "fix": "Pass what the shopper searched for.",
        },
        {"events": 2, "invalid": 1},
    ]


@pytest.mark.parametrize(
    ("content", "invalid"),
    [
        (b"", []),
        (b"\xef\xbb\xbf" + VALID.encode(), []),
        (VALID.encode() + b"\r\n" + VALID.encode() + b"\r\n", []),
        (b"\xff\xfe\n[]\nnull\n" + b"[" * 100_000, [1, 2, 3, 4]),
        # As long as is allowed, and one byte longer.
        (VALID.encode().ljust(MAX_LINE) + b"\n" + VALID.encode(), []),
        (VALID.encode().ljust(MAX_LINE), []),
        (VALID.encode().ljust(MAX_LINE + 1) + b"\n{", [1, 2]),
        (VALID.encode().ljust(MAX_LINE + 1), [1]),
        (VALID.encode().ljust(2 * MAX_LINE) + b"\n{", [1, 2]),
        (VALID.encode().ljust(3 * MAX_LINE + 1) + b"\n{", [1, 2]),
    ],
    ids=range(10),
)
def test_any_bytes_are_counted_by_lines(file: Path, content: bytes, invalid: list[int]) -> None:
    file.write_bytes(content)
    faults = [json.loads(line) for line in validate(file, json=True)[0].splitlines()]
    assert [fault["line"] for fault in faults[:-1]] == invalid
    assert faults[-1]["invalid"] == len(invalid)


def test_memory_is_bounded(file: Path) -> None:
    with file.open("w") as target:
        target.write("x" * (20 * MAX_LINE) + "\n")
        target.writelines(f"{NO_QUERY}\n" for _ in range(2000))
    tracemalloc.start()
    try:
        with Path(os.devnull).open("w") as nowhere, pytest.raises(SystemExit):
            call_command("moloco_validate", str(file), stdout=nowhere)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 5 * MAX_LINE


def test_a_file_that_cannot_be_read_is_an_error_of_another_kind(file: Path) -> None:
    with pytest.raises(CommandError, match=r"events\.jsonl cannot be read: No such file") as told:
        call_command("moloco_validate", str(file))
    assert told.value.returncode == 2


@pytest.mark.slow
def test_it_needs_no_database_and_reads_standard_input(tmp_path: Path) -> None:
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/at/all"}
    (tmp_path / "offline.py").write_text(
        f"INSTALLED_APPS = ['django_moloco_rmp']\nDATABASES = {{'default': {database}}}\n"
    )
    folder = Path(django_moloco_rmp.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-m", "django", "moloco_validate", "-"],
        cwd=tmp_path,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "offline",
            "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, folder))),
        },
        input=f"{VALID}\n{NO_QUERY}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.endswith("2 events, 1 invalid\n")


def test_the_help_has_an_example_that_is_true(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        call_command("moloco_validate", "--help")
    text = capsys.readouterr().out
    example, _, rest = text.split("echo '")[1].partition("' | manage.py moloco_validate -\n\n")
    file.write_text(example)
    assert textwrap.dedent(rest.split("\n\n")[0]) + "\n" == validate(file)[0]
