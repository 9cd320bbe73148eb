from __future__ import annotations

import json
import re
import subprocess
import sys
from ast import literal_eval
from dataclasses import fields
from pathlib import Path

import pytest

from django_moloco_rmp.conf import Settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

if not README.exists():
    pytest.skip("the README is not part of what is tested here", allow_module_level=True)


def test_the_blocks_are_a_working_shop(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", ROOT / "tests/readme/run.py", README, tmp_path / "db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == [["ADD_TO_CART", None], ["PURCHASE", "39.80"]]


def test_the_settings_table_names_each_setting() -> None:
    section = README.read_text(encoding="utf-8").split("## Settings")[1].split("\n## ")[0]
    named = {
        key
        for row in re.findall(r"^\| (`[^|]+) \|", section, re.M)
        for key in re.findall("`(.+?)`", row)
    }
    assert named == {field.name.upper() for field in fields(Settings)}


def test_the_settings_table_tells_the_defaults() -> None:
    section = README.read_text(encoding="utf-8").split("## Settings")[1].split("\n## ")[0]
    told = {}
    for keys, defaults in re.findall(r"^\| (`[^|]+) \| (`[^|]+`) \|", section, re.M):
        names = [key.lower() for key in re.findall("`(.+?)`", keys)]
        told |= dict(zip(names, re.findall("`(.+?)`", defaults), strict=True))
    assert told.pop("user_id") == "request.user.pk"
    assert {name: literal_eval(text) for name, text in told.items()} == {
        name: getattr(Settings(), name) for name in told
    }
    # The others have a default in words.
    assert {field.name for field in fields(Settings)} - set(told) == {
        *("platform_id", "api_key", "platform_name", "destinations", "hash_key"),
        *("user_id", "persistent_id_cookie_age", "buffered"),
    }


def test_the_pictures_exist() -> None:
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README.read_text(encoding="utf-8")):
        assert (ROOT / picture).is_file(), picture
