"""Settings of a shop that runs its own tests, beside the databases of this test run."""

from __future__ import annotations

from tests.processes.settings import *  # noqa: F403
from tests.processes.settings import DATABASES

ROOT_URLCONF = "tests.processes.servers.site"
STATIC_URL = "/static/"
for entry in DATABASES.values():
    entry["TEST"] = {**entry["TEST"], "NAME": f"{entry['NAME']}_suite"}
