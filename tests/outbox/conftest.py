from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connections


@pytest.fixture
def second(transactional_db: None) -> Iterator[str]:
    """The alias of a second connection to the default database, in this same thread."""
    connections["second"] = connections["default"].copy("second")
    yield "second"
    connections["second"].close()
    del connections["second"]
