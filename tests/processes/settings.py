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
