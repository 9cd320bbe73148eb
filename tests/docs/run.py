"""Executes the Python blocks of one page of the docs, in order, in a shop.

python tests/docs/run.py PAGE DATABASE_FILE
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```", re.M | re.S)


def main(page: Path, database: str) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "readme"))
    settings.configure(
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "shop",
            "django_moloco_rmp",
        ],
        MOLOCO_RMP={"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key", "RELAY": "off"},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY="not a secret",
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    shop: dict[str, Any] = {"__name__": "docs"}
    for _, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        exec(compile(dedent(block), str(page), "exec"), shop)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
