"""The fleet: several destinations are served by one thread, and none waits for another."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, connections
from django.test import override_settings

from django_moloco_rmp.bell import Bell
from django_moloco_rmp.fleet import Fleet, fleet_from_settings
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.relay import Tally
from django_moloco_rmp.sandbox import SandboxServer
from tests.http_server import Answer, ScriptedServer
from tests.outbox.relays import PATIENCE, HoldingServer, relay_to, running
from tests.outbox.samples import record, record_many, seconds_until_due, without_table
from tests.processes.children import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def sending(**urls: str) -> Iterator[None]:
    """MOLOCO_RMP with a destination for each server."""
    entries = {
        name: {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key", "BASE_URL": url}
        for name, url in urls.items()
    }
    with override_settings(MOLOCO_RMP={"DESTINATIONS": entries, "CONCURRENCY": 2}):
        yield


@pytest.fixture
def servers() -> Iterator[tuple[SandboxServer, SandboxServer]]:
    with ExitStack() as stack:
        yield stack.enter_context(SandboxServer()), stack.enter_context(SandboxServer())


def sent(server: SandboxServer) -> list[str]:
    return [each["body"]["id"] for each in server.events()]


def left() -> Counter[str]:
    return Counter(OutboxEvent.objects.values_list("destination", flat=True))


def test_each_event_goes_to_its_destination(servers: tuple[SandboxServer, SandboxServer]) -> None:
    record("a", "b", to="de")
    record("c", to="fr")
    with sending(de=servers[0].url, fr=servers[1].url):
        assert fleet_from_settings("default").run(until_empty=True) == Tally(delivered=3)
    assert sorted(sent(servers[0])) == ["a", "b"]
    assert sent(servers[1]) == ["c"]
    delivered = dict(GateRow.objects.values_list("name", "delivered"))
    assert delivered == {"de": 2, "fr": 1}


def test_each_is_asked_with_its_own_key() -> None:
    record("a", to="de")
    record("b", to="fr")
    with ScriptedServer() as de, ScriptedServer() as fr:
        entries = {
            "de": {"PLATFORM_ID": "SHOP_DE", "API_KEY": "key-de", "BASE_URL": de.url},
            "fr": {"PLATFORM_ID": "SHOP_FR", "API_KEY": "key-fr", "BASE_URL": fr.url},
        }
        with override_settings(MOLOCO_RMP={"DESTINATIONS": entries}):
            fleet_from_settings("default").run(until_empty=True)
    for server, name in ((de, "de"), (fr, "fr")):
        (request,) = server.requests
        assert request.headers["X-API-Key"] == f"key-{name}"
        assert f"SHOP_{name.upper()}" in request.path


def test_one_that_hangs_holds_up_no_other(sandbox: SandboxServer) -> None:
    record_many(20, destination="down")
    with HoldingServer() as down, sending(down=down.url, up=sandbox.url):
        fleet = fleet_from_settings("default", drain_seconds=0.1)
        with running(fleet):
            down.wait_for(2)
            record("a", "b", "c", to="up")
            fleet.wake("up")
            # While both senders of the other one are still waiting for an answer.
            sandbox.wait_for(3, PATIENCE)
            assert len(down.requests) == 2
        down.answering.set()
    assert sorted(sent(sandbox)) == ["a", "b", "c"]
    assert left() == {"down": 20}


@pytest.mark.parametrize(("status", "circuit"), [(401, "open"), (429, "closed"), (503, "backoff")])
def test_one_that_refuses_holds_up_no_other(
    sandbox: SandboxServer, status: int, circuit: str
) -> None:
    record_many(20, destination="down")
    record(*[f"cart-{number}" for number in range(40)], to="up")
    with ScriptedServer(*[Answer(status)] * 100) as down, sending(down=down.url, up=sandbox.url):
        tally = fleet_from_settings("default").run(until_empty=True)
    assert tally.delivered == 40
    assert left() == {"down": 20}
    states = {name: Gate("default", name).look().circuit.state.value for name in ("down", "up")}
    assert states == {"down": circuit, "up": "closed"}


def test_a_pause_of_one_is_no_pause_of_others(sandbox: SandboxServer) -> None:
    def pause(held: Any) -> None:
        held.circuit = held.circuit.pausing(held.now)

    Gate("default", "de").change(pause)
    record("a", to="de")
    record("b", to="fr")
    with sending(de=sandbox.url, fr=sandbox.url):
        fleet_from_settings("default").run(until_empty=True)
    assert sent(sandbox) == ["b"]


def test_rates_are_apart(sandbox: SandboxServer) -> None:
    record(*[f"slow-{number}" for number in range(4)], to="slow")
    record(*[f"fast-{number}" for number in range(30)], to="fast")
    entry = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key", "BASE_URL": sandbox.url}
    entries = {"slow": {**entry, "MAX_QPS": 1}, "fast": entry}
    with override_settings(MOLOCO_RMP={"DESTINATIONS": entries}):
        tally = fleet_from_settings("default").run(until_empty=True)
    assert tally.delivered == 34
    # Thirty are through long before four have had their seconds.
    assert sent(sandbox)[-1].startswith("slow")


def test_each_relay_is_set_up_as_its_entry_says() -> None:
    record_many(8, destination="de")
    record_many(8, destination="fr")
    with HoldingServer() as server:
        entry = {"PLATFORM_ID": "SHOP_TEST", "API_KEY": "test-key", "BASE_URL": server.url}
        entries = {
            "de": {**entry, "BATCH_SIZE": 3, "CONCURRENCY": 1, "LEASE": 77},
            "fr": {**entry, "BATCH_SIZE": 5, "CONCURRENCY": 2, "LEASE": 99},
        }
        with override_settings(MOLOCO_RMP={"DESTINATIONS": entries, "LEASE": 600}):
            fleet = fleet_from_settings("default", drain_seconds=0.1)
            with running(fleet):
                server.wait_for(3)
                wait_until(lambda: held() == {"de": 3, "fr": 5})
                assert len(server.requests) == 3
                leases = {
                    row.destination: round(seconds_until_due(row), -1)
                    for row in OutboxEvent.objects.exclude(lease_token="")
                }
            server.answering.set()
    assert leases == {"de": 80, "fr": 100}


def held() -> Counter[str]:
    rows = OutboxEvent.objects.exclude(lease_token="")
    return Counter(rows.values_list("destination", flat=True))


def test_so_many_events_are_so_many_of_all(servers: tuple[SandboxServer, SandboxServer]) -> None:
    record(*[f"de-{number}" for number in range(5)], to="de")
    record(*[f"fr-{number}" for number in range(5)], to="fr")
    with sending(de=servers[0].url, fr=servers[1].url):
        assert fleet_from_settings("default").run(max_events=7) == Tally(delivered=7)
    assert len(sent(servers[0])) + len(sent(servers[1])) == 7
    assert sum(left().values()) == 3


def test_only_those_that_are_named(servers: tuple[SandboxServer, SandboxServer]) -> None:
    record("a", to="de")
    record("b", to="fr")
    with sending(de=servers[0].url, fr=servers[1].url):
        fleet = fleet_from_settings("default", destinations=["fr"])
        assert fleet.run(until_empty=True) == Tally(delivered=1)
    assert left() == {"de": 1}
    assert set(GateRow.objects.values_list("name", flat=True)) == {"fr"}


def test_what_comes_for_one_that_was_through_is_sent_too(sandbox: SandboxServer) -> None:
    record("slow", to="slow")
    with HoldingServer() as slow, sending(slow=slow.url, fast=sandbox.url):
        fleet = fleet_from_settings("default")
        with running(fleet, until_empty=True) as thread:
            slow.wait_for(1)
            # The other one has found nothing by now, and is asked again while this one is at work.
            record("late", to="fast")
            sandbox.wait_for(1, PATIENCE)
            slow.answering.set()
            thread.join(PATIENCE)
            assert not thread.is_alive()
    assert sent(sandbox) == ["late"]
    assert left() == {}


def test_all_leave_a_sign_of_life(sandbox: SandboxServer) -> None:
    with sending(de=sandbox.url, fr=sandbox.url):
        fleet_from_settings("default").run(until_empty=True)
    assert Gate("default", "de").has_been_seen(60)
    assert Gate("default", "fr").has_been_seen(60)


def test_a_stopped_fleet_ends_within_the_time_of_one(sandbox: SandboxServer) -> None:
    record_many(4, destination="de")
    record_many(4, destination="fr")
    with HoldingServer() as server, sending(de=server.url, fr=server.url):
        fleet = fleet_from_settings("default", drain_seconds=0.5)
        with running(fleet) as thread:
            server.wait_for(4)
            began = time.monotonic()
            fleet.stop()
            thread.join(PATIENCE)
            seconds = time.monotonic() - began
        server.answering.set()
    assert 0.4 < seconds < PATIENCE / 3
    # What was not begun has been handed back, what was is covered by its lease.
    leases = OutboxEvent.objects.order_by("destination").exclude(lease_token="")
    assert list(leases.values_list("destination", flat=True)) == ["de", "de", "fr", "fr"]


def test_a_database_that_fails_ends_a_run_that_is_to_end(sandbox: SandboxServer) -> None:
    record("a", to="de")
    with sending(de=sandbox.url, fr=sandbox.url), without_table(), pytest.raises(DatabaseError):
        fleet_from_settings("default").run(until_empty=True)
    assert left() == {"de": 1}
    assert sent(sandbox) == []


class Broken(Outbox):
    """Fails in a way that nobody foresaw."""

    def has_due(self) -> bool:
        raise ZeroDivisionError


def test_a_failure_of_one_leaves_the_others_at_work(sandbox: SandboxServer) -> None:
    record("a", to="fr")
    bell = Bell()
    with ExitStack() as stack:
        relays = {
            name: stack.enter_context(relay_to(sandbox.url, outbox=outbox, bell=bell, gate=gate))
            for name, outbox, gate in (
                ("de", Broken("default", "de"), Gate("default", "de")),
                ("it", Broken("default", "it"), Gate("default", "it")),
                ("fr", Outbox("default", "fr"), Gate("default", "fr")),
            )
        }
        fleet = Fleet(relays, bell)

        def step() -> bool:
            with pytest.raises(ZeroDivisionError) as raised:
                fleet.step()
            assert raised.value.__notes__ == ["For another destination: ZeroDivisionError()"]
            return not left()

        wait_until(step)
        fleet.close()
    assert sent(sandbox) == ["a"]


def test_an_idle_connection_is_closed_once_all_are_idle(sandbox: SandboxServer) -> None:
    closed = []
    with sending(de=sandbox.url, fr=sandbox.url):
        fleet = fleet_from_settings("default", idle_seconds=1.0)

        def run() -> None:
            try:
                for number in range(20):
                    record(f"cart-{number}", to="fr")
                    fleet.wake("fr")
                    fleet.step()
                    closed.append(connections["default"].connection is None)
                    time.sleep(0.1)
                wait_until(lambda: (fleet.step(), connections["default"].connection is None)[1])
            finally:
                fleet.close()
                connections.close_all()

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(PATIENCE)
    # Two seconds long nothing was for the one, but there was always something for the other.
    assert closed == [False] * 20


def test_an_impossible_address_is_named_with_its_destination() -> None:
    entry = {"PLATFORM_ID": "..", "API_KEY": "secret-key"}
    good = {"PLATFORM_ID": "SHOP", "API_KEY": "secret-key"}
    raw = {"DESTINATIONS": {"de": good, "fr": entry}}
    with (
        override_settings(MOLOCO_RMP=raw),
        pytest.raises(
            ImproperlyConfigured, match=r"^MOLOCO_RMP\['DESTINATIONS'\]\['fr'\]: "
        ) as raised,
    ):
        fleet_from_settings("default")
    assert str(raised.value).startswith("MOLOCO_RMP['DESTINATIONS']['fr']: ")
    assert "secret-key" not in str(raised.value)


def test_a_name_that_is_none_wakes_nobody(sandbox: SandboxServer) -> None:
    with sending(de=sandbox.url):
        fleet = fleet_from_settings("default")
        fleet.wake("it")
        assert fleet.step() is not None
        fleet.close()
    assert connection.connection is not None
