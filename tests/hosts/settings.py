"""Django's settings on each of the hosts: one PostgreSQL, at another host's address."""

from __future__ import annotations

import json
import os

from tests import settings as suite
from tests.settings import *  # noqa: F403

#: As docs/scaling.md has it, with shorter times: whoever waits here is a test. A client's options
#: first, then those of the server's end of the same connection.
PATIENT = {
    "connect_timeout": 2,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 3000,
    "options": "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1"
    " -c tcp_keepalives_count=3 -c tcp_user_timeout=3000",
}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "postgres",
        "HOST": os.environ["HOSTS_DATABASE"],
        "PORT": 5432,
        # To see by hand what these are for, which takes longer than a test may.
        "OPTIONS": {} if os.environ.get("HOSTS_PLAIN_CONNECTION") else PATIENT,
    }
}
MOLOCO_RMP = {
    **suite.MOLOCO_RMP,
    "RELAY": "command",
    "TIMEOUT": (0.5, 1.5),
    "LEASE": 10,
    **json.loads(os.environ["HOSTS_MOLOCO_RMP"]),
}
LOGGING = {
    "version": 1,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "loggers": {"django_moloco_rmp": {"handlers": ["stderr"], "level": "WARNING"}},
}
