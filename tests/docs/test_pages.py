"""What the docs say, held against the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "```python\n" in path.read_text("utf-8"))
CHECK = re.compile(r"moloco_rmp\.[EW]\d{3}")

pytestmark = pytest.mark.docs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "tests/docs/run.py", page, tmp_path / "db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", DOCS, tmp_path / "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "track_purchase" in (tmp_path / "html/reference/api.html").read_text("utf-8")


def test_each_check_has_its_row_and_each_row_its_check() -> None:
    told = CHECK.findall((DOCS / "reference/checks.md").read_text("utf-8"))
    known = CHECK.findall((ROOT / "django_moloco_rmp/checks.py").read_text("utf-8"))
    assert sorted(set(told)) == sorted(set(known))
    assert len(told) == len(set(told))


def test_each_command_is_told_of() -> None:
    commands = {
        path.stem for path in (ROOT / "django_moloco_rmp/management/commands").glob("m*.py")
    }
    told = "".join(page.read_text("utf-8") for page in DOCS.rglob("*.md"))
    named = set(re.findall(r"moloco_[a-z]+", told))
    assert commands <= named
    assert set(re.findall(r"manage\.py (moloco_[a-z]+)", told)) <= commands


def test_each_page_is_in_the_table_of_contents() -> None:
    pages = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.md")}
    listed = set(
        re.findall(r"^[a-z-]+(?:/[a-z-]+)?$", (DOCS / "index.md").read_text("utf-8"), re.M)
    )
    assert pages - {"index"} == listed
