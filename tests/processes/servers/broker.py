"""A Celery broker that needs no service: a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def application(folder: Path) -> Any:
    """Return a Celery application, for those who call tasks and those who do them."""
    from celery import Celery  # noqa: PLC0415  (may be missing)

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
    return app
