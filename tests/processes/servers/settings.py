"""Settings of the small shop that real servers serve."""

from __future__ import annotations

from tests.processes.settings import *  # noqa: F403

ROOT_URLCONF = "tests.processes.servers.site"
ALLOWED_HOSTS = ["127.0.0.1"]
