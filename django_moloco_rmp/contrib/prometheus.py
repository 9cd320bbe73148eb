"""
Metrics for Prometheus; needs the extra ``prometheus``.

What all processes know together, the backlog, the circuit and what has become of events, is read
from the database by whoever is scraped: :class:`MolocoCollector`. What only the process knows that
does it, how long posts take and what is dropped, is counted there: :func:`register`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import Error, connections
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from django_moloco_rmp import signals
from django_moloco_rmp.backlog import Backlog
from django_moloco_rmp.choices import EventType
from django_moloco_rmp.conf import named_destinations
from django_moloco_rmp.counts import DELIVERED, DROPPED, REJECTED, RETRIED, Counts
from django_moloco_rmp.exceptions import DeliveryError
from django_moloco_rmp.health import Vitals, read_vitals
from django_moloco_rmp.outbox import default_alias
from django_moloco_rmp.protocol import Reason, State

__all__ = ["MolocoCollector", "register"]

logger = logging.getLogger("django_moloco_rmp")

#: Counts of rows end here: to count on would read a table that a shop is writing to.
MOST_COUNTED = 20_000
#: Seconds. A post with the default TIMEOUT takes 13 at most.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
_OUTCOMES = (DELIVERED, RETRIED, REJECTED, DROPPED)


class MolocoCollector:
    """
    What the database knows of the destinations. Each scrape takes nine queries for each, whose
    counts end at ``MOST_COUNTED``.

    It is the same whichever process is asked, so one is enough. While the database is down there is
    only ``moloco_rmp_database_up``, which is 0.

    :param using: the database's alias; by default the one that events go to
    """

    def __init__(self, using: str | None = None) -> None:
        self._using = using

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without values: to register must not need a database."""
        yield from _families().values()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        families = _families()
        is_up = True
        using = self._using or default_alias()
        try:
            with _kept_as_found(using):
                for destination in named_destinations():
                    _fill(families, using, destination)
        except Error:
            logger.exception("No metrics: the database failed", extra={"database": using})
            families, is_up = _families(), False
        families["database_up"].add_metric([], is_up)
        return iter(families.values())


def _families() -> dict[str, Any]:
    return {
        name: kind(f"moloco_rmp_{name}", documentation, labels=labels)
        for name, kind, documentation, labels in _METRICS
    }


_METRICS: tuple[tuple[str, Callable[..., Metric], str, tuple[str, ...]], ...] = (
    ("database_up", GaugeMetricFamily, "Whether the outbox's database answers.", ()),
    (
        "outbox_events",
        GaugeMetricFamily,
        f"Events in the outbox, counted up to {MOST_COUNTED}; delivered are ids kept.",
        ("destination", "state"),
    ),
    (
        "oldest_due_seconds",
        GaugeMetricFamily,
        "How long the event that is due longest has been so; 0 if none is.",
        ("destination",),
    ),
    (
        "circuit_state",
        GaugeMetricFamily,
        "1 for the state of the circuit.",
        ("destination", "state"),
    ),
    (
        "circuit_reason",
        GaugeMetricFamily,
        "1 for why the circuit is not closed.",
        ("destination", "reason"),
    ),
    (
        "relay_silence_seconds",
        GaugeMetricFamily,
        "How long ago a relay has left a sign; +Inf if none ever has.",
        ("destination",),
    ),
    (
        "adapted_rate",
        GaugeMetricFamily,
        "Calls per second that throttling has left; absent if there is no such limit.",
        ("destination",),
    ),
    (
        "events",
        CounterMetricFamily,
        "What became of events, of all processes together.",
        ("destination", "event_type", "outcome"),
    ),
)


def _fill(families: dict[str, Any], using: str, destination: str) -> None:
    def add(name: str, value: float, *labels: str) -> None:
        families[name].add_metric([destination, *labels], value)

    _add_vitals(add, read_vitals(using, destination))
    backlog = Backlog(using, destination, most_counted=MOST_COUNTED)
    for state, count in backlog.sizes().items():
        add("outbox_events", count.number, state)
    # Zeros too: of a counter that appears with its first event that event would not be seen.
    zeros = {(event_type.value, outcome): 0 for event_type in EventType for outcome in _OUTCOMES}
    for labels, number in (zeros | Counts(using, destination).totals()).items():
        add("events", number, *labels)


def _add_vitals(add: Callable[..., None], vitals: Vitals) -> None:
    silence = math.inf if vitals.silence is None else vitals.silence
    add("oldest_due_seconds", vitals.oldest_due)
    add("relay_silence_seconds", silence)
    for state in State:
        add("circuit_state", state is vitals.state, state.value)
    for reason in Reason:
        if reason:
            add("circuit_reason", reason is vitals.reason, reason.value)
    if vitals.adapted_rate is not None:
        add("adapted_rate", vitals.adapted_rate)


@contextmanager
def _kept_as_found(using: str) -> Iterator[None]:
    # Outside of a request, as with start_http_server(), nobody else would close it.
    connection = connections[using]
    if connection.errors_occurred and not connection.in_atomic_block:
        connection.close()
    was_open = connection.connection is not None
    try:
        yield
    finally:
        if not was_open and not connection.in_atomic_block:
            connection.close()


def register(registry: CollectorRegistry = REGISTRY, *, using: str | None = None) -> None:
    """
    Have this process count, and the registry tell all metrics. Call it once, in ``ready()``.

    :param registry: by default the one that is served by default
    :param using: as for :class:`MolocoCollector`
    :raises ValueError: the registry has them already
    """
    registry.register(MolocoCollector(using))
    posts = Histogram(
        "moloco_rmp_post_seconds",
        "How long posts of this process took; status 2xx was accepted, none got no answer.",
        ["destination", "status"],
        registry=registry,
        buckets=BUCKETS,
    )
    dropped = Counter(
        "moloco_rmp_dropped",
        "Events that this process did not record.",
        ["event_type", "reason"],
        registry=registry,
    )

    def observe(destination: str, seconds: float, error: DeliveryError | None, **_: Any) -> None:
        posts.labels(destination, _status(error)).observe(seconds)

    def count(sender: object, reason: str, **_: Any) -> None:
        # What a shop passed by mistake must not become a time series.
        dropped.labels(sender if sender in _TYPES else "other", reason).inc()

    uid = (__name__, registry)
    signals.event_posted.connect(observe, weak=False, dispatch_uid=uid)
    signals.event_dropped.connect(count, weak=False, dispatch_uid=uid)


_TYPES = frozenset(each.value for each in EventType)


def _status(error: DeliveryError | None) -> str:
    if error is None:
        return "2xx"
    return "none" if error.status is None else f"{error.status // 100}xx"
