from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_moloco_rmp.sandbox import SandboxServer
from tests.sandbox.caller import Caller


@pytest.fixture
def caller(sandbox: SandboxServer) -> Iterator[Caller]:
    made = Caller(sandbox)
    with made.session:
        yield made
