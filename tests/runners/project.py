"""
The Celery application of a shop's project: its web processes import it, its workers load it.

SHOP_BROKER_URL names the broker, SHOP_QUEUE the queue, SHOP_FLOOR the seconds of the timetable.
"""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging

app = Celery("shop", broker=os.environ["SHOP_BROKER_URL"])
app.conf.update(
    task_default_queue=os.environ.get("SHOP_QUEUE", "celery"),
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    beat_schedule={
        "moloco": {
            "task": "django_moloco_rmp.drain",
            "schedule": float(os.environ.get("SHOP_FLOOR", "3600")),
        }
    },
)
app.autodiscover_tasks(["django_moloco_rmp"])


@setup_logging.connect
def keep_logging(**_: object) -> None:
    """Django's logging stays as it is."""
