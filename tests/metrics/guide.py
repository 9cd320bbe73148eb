"""What docs/monitoring.md says, for the tests that hold the code against it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).parents[2] / "docs" / "monitoring.md"


def text() -> str:
    return GUIDE.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(), re.M | re.S)


def run(file: str) -> dict[str, Any]:
    """Execute the block that is the file of this name; return its names."""
    (block,) = [each for each in blocks("python") if each.startswith(f"# {file}\n")]
    names: dict[str, Any] = {"__name__": file.removesuffix(".py").replace("/", ".")}
    exec(compile(block, file, "exec"), names)
    return names


def rows(section: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    table = text().split(f"# {section}\n")[1].split("\n| ", 1)[1].split("\n\n")[0]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()[2:]]


def codes(cell: str) -> list[str]:
    """What a cell has as code."""
    return re.findall("`([^`]+)`", cell)
