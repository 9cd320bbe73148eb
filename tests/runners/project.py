"""
The Celery application of a shop's project, as the docs and Celery's guide for Django have it: its
web processes import it, its workers load it.
"""

from __future__ import annotations

from celery import Celery
from celery.signals import setup_logging

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_logging(**_: object) -> None:
    """Django's logging stays as it is."""
