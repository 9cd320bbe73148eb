from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from django_moloco_rmp.contrib import prometheus
from django_moloco_rmp.signals import event_dropped, event_posted


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    """A registry that has all metrics of the package, as a process of a shop has one."""
    # As the registry that is there by default: it asks each collector what it has.
    registry = CollectorRegistry(auto_describe=True)
    prometheus.register(registry)
    yield registry
    for signal in (event_posted, event_dropped):
        assert signal.disconnect(dispatch_uid=(prometheus.__name__, registry))
