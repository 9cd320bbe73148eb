"""The fixtures that pytest finds by itself, once the package is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django_moloco_rmp.testing import CapturedEvents


@pytest.fixture
def moloco_events() -> Iterator[CapturedEvents]:
    """The events that the test reports, as ``capture_events()`` collects them."""
    # Not at the top: pytest loads this for every project there is, with and without Django.
    from django_moloco_rmp.testing import capture_events  # noqa: PLC0415

    with capture_events() as events:
        yield events
