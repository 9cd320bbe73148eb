"""The Python blocks of README and docs, by mypy: also what only runs when a view is called."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(
    r"^( *)```(?:python|\{code-block\} python\n:caption: \S+\n)\n(.*?)^\1```", re.M | re.S
)
#: Blocks of settings and urls, of which a page may show several that exclude each other.
ALTERNATIVE = re.compile(r"^(?:MOLOCO_RMP = |INSTALLED_APPS |# shop/)", re.M)
CONFIGURATION = """
[mypy]
plugins = mypy_django_plugin.main
check_untyped_defs = True
# A page may mend a view that it has shown before.
disable_error_code = no-redef
[mypy.plugins.django-stubs]
django_settings_module = tests.settings
# The reader's own, and what has no types.
[mypy-shop.*,books.*,rest_framework.*,debug_toolbar.*,environ.*]
ignore_missing_imports = True
"""

pytestmark = [pytest.mark.docs, pytest.mark.slow]


def modules(page: Path) -> list[str]:
    """The blocks of a page as the code of modules: together, but for alternatives."""
    blocks = [dedent(block) for _, block in BLOCK.findall(page.read_text("utf-8"))]
    alone = [block for block in blocks if ALTERNATIVE.match(block)]
    together = "\n\n".join(block for block in blocks if block not in alone)
    settings = [
        f"INSTALLED_APPS: list[str] = []\nMIDDLEWARE: list[str] = []\n{each}" for each in alone
    ]
    return [each for each in (together, *settings) if each]


def test_the_blocks_are_of_the_right_types(tmp_path: Path) -> None:
    (tmp_path / "mypy.ini").write_text(CONFIGURATION, encoding="utf-8")
    files = []
    for page in PAGES:
        for number, code in enumerate(modules(page)):
            name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix("")))
            files.append(tmp_path / f"{name}_{number}.py")
            files[-1].write_text(code, encoding="utf-8")
    assert files
    run = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file", tmp_path / "mypy.ini"),
            *("--cache-dir", tmp_path / "cache", *files),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
