"""A Celery application whose broker is a folder: it needs no service."""

from __future__ import annotations

import os
from pathlib import Path

import django
from celery import Celery
from celery.signals import setup_logging

django.setup()

from django_moloco_rmp import track  # noqa: E402
from tests.processes.goods import LAMP, SHOPPER  # noqa: E402

folder = Path(os.environ["SHOP_BROKER"])
app = Celery("shop", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"),
        "store_processed": False,
        "polling_interval": 0.1,
    },
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
)


@setup_logging.connect
def keep_logging(**_: object) -> None:
    """Django's logging stays as it is."""


@app.task
def emit(event_type: str, count: int) -> None:
    """Report events, and leave word of it."""
    ids = [str(track(event_type, LAMP, shopper=SHOPPER)) for _ in range(count)]
    (folder / f"{os.getpid()}-{ids[0]}.part").write_text("\n".join(ids))
    (folder / f"{os.getpid()}-{ids[0]}.part").rename(folder / f"{os.getpid()}-{ids[0]}.done")
