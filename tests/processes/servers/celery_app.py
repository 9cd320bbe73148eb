"""A Celery worker's application."""

from __future__ import annotations

import os
from pathlib import Path

import django
from celery.signals import setup_logging

django.setup()

from django_moloco_rmp import track  # noqa: E402
from tests.processes.goods import LAMP, SHOPPER  # noqa: E402
from tests.processes.servers.broker import application  # noqa: E402

folder = Path(os.environ["SHOP_BROKER"])
app = application(folder)


@setup_logging.connect
def keep_logging(**_: object) -> None:
    """Django's logging stays as it is."""


@app.task(name="emit")
def emit(event_type: str, count: int) -> None:
    """Report events, and leave word of it."""
    ids = [str(track(event_type, LAMP, shopper=SHOPPER)) for _ in range(count)]
    (folder / f"{os.getpid()}-{ids[0]}.part").write_text("\n".join(ids))
    (folder / f"{os.getpid()}-{ids[0]}.part").rename(folder / f"{os.getpid()}-{ids[0]}.done")
