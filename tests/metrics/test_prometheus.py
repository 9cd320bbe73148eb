"""What Prometheus reads, by its own parser."""

from __future__ import annotations

import logging
import math
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings
from prometheus_client import CollectorRegistry, Counter, generate_latest, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from django_moloco_rmp import track
from django_moloco_rmp.contrib.prometheus import MolocoCollector, register
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.signals import event_dropped, event_posted
from tests.http_server import Answer, ScriptedServer
from tests.metrics.samples import circuit, database_that_is_down, due, opened, relay_seen
from tests.outbox.relays import PATIENCE, relay_to, running
from tests.outbox.samples import event, record, record_many
from tests.outbox.workers import connection_number, end_connection

State = OutboxEvent.State


def parsed(text: str) -> dict[tuple[str, frozenset[str]], float]:
    """The samples by name and the values of their labels, but for the destination, the only one."""
    return {
        (sample.name, frozenset(sample.labels.values()) - {"default"}): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Scrape:
    """What one scrape brought."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.text = generate_latest(registry).decode()
        self.samples = parsed(self.text)

    def value(self, name: str, *labels: str) -> float:
        return self.samples[f"moloco_rmp_{name}", frozenset(labels)]

    def labels(self, name: str) -> set[str]:
        """The labels of which a sample is 1."""
        found: set[str] = set()
        for (sample, labels), value in self.samples.items():
            if sample == f"moloco_rmp_{name}" and value == 1:
                found |= labels
        return found


def test_to_register_needs_no_database(registry: CollectorRegistry) -> None:
    # This test has none. A registry by default asks each collector for its metrics.
    with pytest.raises(ValueError, match="Duplicated"):
        register(registry)


@pytest.mark.django_db
def test_a_shop_that_has_sent_nothing_yet(registry: CollectorRegistry) -> None:
    scrape = Scrape(registry)
    assert scrape.value("database_up") == 1
    assert scrape.value("outbox_events", "due") == 0
    assert scrape.value("oldest_due_seconds") == 0
    assert scrape.labels("circuit_state") == {"closed"}
    assert scrape.labels("circuit_reason") == set()
    assert scrape.value("relay_silence_seconds") == math.inf
    assert ("moloco_rmp_adapted_rate", frozenset()) not in scrape.samples
    # Counters are there before the first event, or that one would not be seen.
    assert scrape.value("events_total", "PURCHASE", "rejected") == 0
    assert len([name for name, _ in scrape.samples if name == "moloco_rmp_events_total"]) == 32


@pytest.mark.django_db
def test_the_backlog(registry: CollectorRegistry) -> None:
    due(100)
    due(-1000, count=3)
    record_many(4, state=State.REJECTED)
    record_many(5, state=State.SENT)
    scrape = Scrape(registry)
    sizes = {
        state: scrape.value("outbox_events", state)
        for state in ("due", "waiting", "rejected", "delivered")
    }
    assert sizes == {"due": 1, "waiting": 3, "rejected": 4, "delivered": 5}
    assert scrape.value("oldest_due_seconds") == pytest.approx(100, abs=15)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("stands", "state", "reasons"),
    [
        ({"failures": 1, "reason": "server"}, "backoff", {"server"}),
        ({"failures": 6, "reason": "configuration"}, "open", {"configuration"}),
        ({"paused": True}, "paused", set()),
    ],
)
def test_the_circuit(
    registry: CollectorRegistry, stands: dict[str, Any], state: str, reasons: set[str]
) -> None:
    circuit(**stands)
    scrape = Scrape(registry)
    assert scrape.labels("circuit_state") == {state}
    assert scrape.labels("circuit_reason") == reasons
    assert {label for name, labels in scrape.samples for label in labels if "state" in name} == {
        *("closed", "backoff", "open", "paused")
    }


@pytest.mark.django_db
def test_the_adapted_rate_and_the_last_sign_of_a_relay(registry: CollectorRegistry) -> None:
    def slow_down(held: Held) -> None:
        held.pace = replace(held.pace, rate=7_500, ceiling=30_000, changed_at=held.now)

    Gate("default").change(slow_down)
    relay_seen(50)
    scrape = Scrape(registry)
    assert scrape.value("adapted_rate") == 7.5
    assert scrape.value("relay_silence_seconds") == pytest.approx(50, abs=15)


@pytest.mark.django_db(transaction=True)
def test_deliveries_by_type_and_outcome_with_the_time_they_took(
    registry: CollectorRegistry,
) -> None:
    record("cart-1", "cart-2", "cart-3", "cart-4")
    dropped_line = Answer(raw=[])
    answers = [Answer(200), Answer(400), Answer(429), dropped_line]
    with ScriptedServer(*answers) as server, relay_to(server.url, concurrency=1) as relay:
        relay.run(max_events=4)
    scrape = Scrape(registry)
    outcomes = {
        outcome: scrape.value("events_total", "ADD_TO_CART", outcome)
        for outcome in ("delivered", "rejected", "retried", "dropped")
    }
    assert outcomes == {"delivered": 1, "rejected": 1, "retried": 2, "dropped": 0}
    for status in ("2xx", "4xx", "none"):
        assert scrape.value("post_seconds_bucket", status, "+Inf") == (1 + (status == "4xx"))
        assert 0 < scrape.value("post_seconds_sum", status) < PATIENCE
    assert scrape.value("post_seconds_bucket", "2xx", "0.05") <= 1


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_fails_neither_stops_nor_loses_anything() -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("the shop's own fault")

    record("cart-1")
    event_posted.connect(fail)
    try:
        with ScriptedServer() as server, relay_to(server.url) as relay:
            # In a thread, which is given up in the end: the relay would wait for ever.
            with running(relay, until_empty=True) as thread:
                thread.join(PATIENCE)
            assert relay.tally.delivered == 1
    finally:
        event_posted.disconnect(fail)


@contextmanager
def in_production() -> Iterator[None]:
    raw = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key"}
    with override_settings(MOLOCO_RMP=raw):
        yield


def test_drops_by_type_and_reason(registry: CollectorRegistry) -> None:
    with in_production():
        for arguments in ["SEARCH"], ["SEARCH"], ["BUY"], [["HOME"]]:
            assert track(*arguments, shopper={}) is None
    event_dropped.send_robust(event().event_type, reason="bot", detail="")
    samples = {
        labels: value
        for (name, labels), value in parsed(
            generate_latest(registry.restricted_registry(["moloco_rmp_dropped_total"])).decode()
        ).items()
    }
    assert samples == {
        frozenset({"SEARCH", "invalid"}): 2,
        frozenset({"other", "invalid"}): 2,
        frozenset({"ADD_TO_CART", "bot"}): 1,
    }


@pytest.mark.django_db
def test_while_the_database_is_down_the_shops_other_metrics_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = CollectorRegistry()
    Counter("shop_orders", "The shop's own.", registry=registry).inc()
    with database_that_is_down() as alias:
        registry.register(MolocoCollector(alias))
        scrape = Scrape(registry)
    assert scrape.value("database_up") == 0
    assert scrape.samples["shop_orders_total", frozenset()] == 1
    assert [name for name, _ in scrape.samples if name.startswith("moloco_rmp")] == [
        "moloco_rmp_database_up"
    ]
    (logged,) = caplog.records
    assert (logged.levelno, logged.__dict__["database"]) == (logging.ERROR, "gone")


@pytest.mark.django_db
def test_a_scrape_takes_nine_queries_and_writes_nothing(
    registry: CollectorRegistry, django_assert_num_queries: Any
) -> None:
    opened(since=10)
    due(10, count=50)
    with django_assert_num_queries(9) as queries:
        generate_latest(registry)
    assert {query["sql"].split()[0] for query in queries.captured_queries} == {"SELECT"}


@pytest.mark.django_db(transaction=True)
def test_a_scrape_leaves_no_connection_in_a_thread_of_its_own(
    registry: CollectorRegistry,
) -> None:
    left: list[object] = []

    def scrape() -> None:
        generate_latest(registry)
        left.append(connections["default"].connection)
        connections["default"].ensure_connection()
        generate_latest(registry)
        left.append(connections["default"].connection)
        connections.close_all()

    thread = threading.Thread(target=scrape)
    thread.start()
    thread.join(PATIENCE)
    assert left[0] is None
    assert left[1] is not None


@pytest.mark.skipif(
    "connections['default'].vendor == 'sqlite'", reason="SQLite has no server to lose"
)
@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_scrape_that_finds_its_connection_lost_is_the_only_one(
    registry: CollectorRegistry,
) -> None:
    connections["default"].ensure_connection()
    end_connection(connection_number(), "other")
    assert [Scrape(registry).value("database_up") for _ in range(2)] == [0, 1]


@pytest.mark.django_db(transaction=True)
def test_the_servers_own_threads_can_be_scraped(registry: CollectorRegistry) -> None:
    due(100)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            text = response.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE)
    assert parsed(text)["moloco_rmp_outbox_events", frozenset({"due"})] == 1


@pytest.mark.django_db
def test_identifiers_and_keys_are_not_told(registry: CollectorRegistry) -> None:
    record("order-4711")
    with in_production():
        track("HOME-4711", shopper={"user_id": "4711"})
    text = Scrape(registry).text
    for secret in ("4711", "test-key", "SHOP_TEST", "0" * 32):
        assert secret not in text
