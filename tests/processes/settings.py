"""Settings of the processes that tests start, on the database of the test run."""

from __future__ import annotations

import json
import os

from tests import settings as suite
from tests.settings import *  # noqa: F403

DATABASES = {
    alias: {**suite.DATABASES[alias], "NAME": os.environ[f"SHOP_DATABASE_{alias}"]}
    for alias in suite.DATABASES
}
MOLOCO_RMP = {**suite.MOLOCO_RMP, **json.loads(os.environ["SHOP_MOLOCO_RMP"])}
LOGGING = {
    "version": 1,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"django_moloco_rmp": {"handlers": ["stderr"], "level": "WARNING"}},
}

if "SHOP_BROKER_URL" in os.environ:
    # As a project's __init__.py does.
    from tests.runners import project as project

    CELERY_BROKER_URL = os.environ["SHOP_BROKER_URL"]
    CELERY_TASK_ROUTES = {"django_moloco_rmp.drain": {"queue": os.environ["SHOP_QUEUE"]}}
    CELERY_BEAT_SCHEDULE = {
        "moloco-rmp": {
            "task": "django_moloco_rmp.drain",
            "schedule": float(os.environ.get("SHOP_FLOOR", "3600")),
        },
    }
    CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
if "SHOP_TASKS" in os.environ:
    TASKS = {"default": {"BACKEND": os.environ["SHOP_TASKS"]}}
    if TASKS["default"]["BACKEND"].startswith("django_tasks_db."):
        INSTALLED_APPS = [*suite.INSTALLED_APPS, "django_tasks_db"]
