"""How a relay starts, waits, keeps within its bounds and ends. Each runs in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp import signals
from django_moloco_rmp.models import Gate, OutboxEvent
from django_moloco_rmp.outbox import Outbox
from django_moloco_rmp.relay import Tally
from django_moloco_rmp.sandbox import SandboxServer
from tests.http_server import Request
from tests.outbox.relays import (
    PATIENCE,
    HoldingServer,
    WatchedOutbox,
    WatchedServer,
    relay_to,
    running,
)
from tests.outbox.samples import MINUTE, record, record_many
from tests.processes.children import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_stopped_relay_finishes_what_it_sends_and_hands_back_the_rest() -> None:
    record_many(6)
    outbox = WatchedOutbox()
    with (
        HoldingServer() as server,
        relay_to(server.url, outbox=outbox, concurrency=2) as relay,
        running(relay) as thread,
    ):
        server.wait_for(2)
        relay.stop()
        assert outbox.handed_back.wait(PATIENCE)
        server.answering.set()
        thread.join(PATIENCE)
        assert relay.tally == Tally(delivered=2, released=4)
    assert len(server.requests) == 2
    left = OutboxEvent.objects.values_list("attempts", "failures", "lease_token")
    assert list(left) == [(0, 0, "")] * 4
    assert len(Outbox("default").claim(10, MINUTE).events) == 4


def test_a_relay_stopped_before_it_runs_takes_nothing(sandbox: SandboxServer) -> None:
    record("cart-1")
    with relay_to(sandbox.url) as relay:
        relay.stop()
        assert relay.run() == Tally()
    assert OutboxEvent.objects.get().attempts == 0


def test_a_closed_relay_begins_nothing_more() -> None:
    record_many(3)
    with HoldingServer() as server, relay_to(server.url, concurrency=1) as relay:
        before = {*threading.enumerate()}
        relay.begin()
        relay.step()
        (sender,) = [each for each in {*threading.enumerate()} - before if "sender" in each.name]
        server.wait_for(1)
        relay.close()
        server.answering.set()
        sender.join(PATIENCE)
        assert not sender.is_alive()
    assert len(server.requests) == 1
    assert OutboxEvent.objects.exclude(lease_token="").count() == 3


def test_a_relay_at_its_end_has_no_more_to_say_until_it_begins_anew(
    sandbox: SandboxServer,
) -> None:
    record("cart-1")
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True) == Tally(delivered=1)
        with CaptureQueriesContext(connection) as queries:
            assert relay.step() is None
        assert len(queries) == 0
        seen = Gate.objects.get().relay_seen_at
        assert relay.run(until_empty=True) == Tally(delivered=1)
        assert Gate.objects.get().relay_seen_at > seen


class Overgrown(Outbox):
    """Has more that is old than anybody could delete."""

    def prune(self, **ages: object) -> Iterator[int]:
        while True:
            yield 1000


def test_what_is_old_holds_up_nothing(sandbox: SandboxServer) -> None:
    with relay_to(sandbox.url, outbox=Overgrown("default")) as relay:
        relay.begin()
        assert relay.step() is not None
        record("cart-1")
        relay.wake()
        wait_until(lambda: (relay.step(), relay.tally.delivered == 1)[1])
        relay.close()


def test_an_idle_relay_stops_at_once(sandbox: SandboxServer) -> None:
    elapsed = 0.0
    # Three, as one could be about to look again anyway.
    for _ in range(3):
        outbox = WatchedOutbox()
        with relay_to(sandbox.url, outbox=outbox) as relay, running(relay) as thread:
            assert outbox.looked.acquire(timeout=PATIENCE)
            start = time.monotonic()
            relay.stop()
            thread.join(PATIENCE)
            elapsed += time.monotonic() - start
    assert elapsed < 2


def test_an_idle_relay_looks_at_once_when_it_is_woken(sandbox: SandboxServer) -> None:
    outbox = WatchedOutbox()
    with relay_to(sandbox.url, outbox=outbox) as relay, running(relay):
        assert outbox.looked.acquire(timeout=PATIENCE)
        start = time.monotonic()
        for number in range(1, 6):
            record(f"cart-{number}")
            relay.wake()
            sandbox.wait_for(number, PATIENCE)
        # Without being woken it would look once in a second at most.
        assert time.monotonic() - start < 3


def test_wake_ups_before_a_look_count_as_one_after_it(sandbox: SandboxServer) -> None:
    outbox = WatchedOutbox()
    with relay_to(sandbox.url, outbox=outbox) as relay:
        for _ in range(100):
            relay.wake()
        with running(relay):
            for _ in range(2):
                assert outbox.looked.acquire(timeout=PATIENCE)
            # A third comes when seconds have passed, and not at once.
            assert not outbox.looked.acquire(timeout=0.2)


def test_an_idle_relay_looks_again_by_itself(sandbox: SandboxServer) -> None:
    outbox = WatchedOutbox()
    with relay_to(sandbox.url, outbox=outbox) as relay, running(relay):
        assert outbox.looked.acquire(timeout=PATIENCE)
        record("cart-1")
        (call,) = sandbox.wait_for(1, PATIENCE)
    assert call["status"] == 200


def test_no_more_posts_at_once_than_allowed() -> None:
    recorded = record_many(9)
    arrived = threading.Semaphore(0)
    a_fourth = threading.Event()

    def watch(request: Request) -> None:
        arrived.release()
        if server.most_at_once > 3:
            a_fourth.set()
        # Gives a fourth the time to come, once three are here.
        if len(server.requests) <= 3:
            a_fourth.wait(0.3)

    with WatchedServer(watch) as server, relay_to(server.url, concurrency=3) as relay:
        assert relay.run(until_empty=True) == Tally(delivered=9)
    assert server.most_at_once == 3
    assert len(server.requests) == len(recorded)


def test_results_are_written_while_others_are_still_on_their_way() -> None:
    record("slow")
    quick = record_many(3)
    written = threading.Semaphore(0)

    def on_delivered(event_id: str, **_: object) -> None:
        if event_id in quick:
            written.release()

    def watch(request: Request) -> None:
        if b'"id":"slow"' in request.body:
            for _ in quick:
                assert written.acquire(timeout=PATIENCE)
            assert list(OutboxEvent.objects.values_list("event_id", flat=True)) == ["slow"]

    signals.event_delivered.connect(on_delivered)
    try:
        with WatchedServer(watch) as server, relay_to(server.url, concurrency=2) as relay:
            assert relay.run(until_empty=True) == Tally(delivered=4)
    finally:
        signals.event_delivered.disconnect(on_delivered)


def test_ten_results_are_written_back_before_more_are_sent() -> None:
    record_many(30)

    def watch(request: Request) -> None:
        if len(server.requests) > 11:
            wait_until(lambda: OutboxEvent.objects.count() <= 30 - len(server.requests) + 11)

    with WatchedServer(watch) as server, relay_to(server.url, concurrency=1) as relay:
        assert relay.run(until_empty=True) == Tally(delivered=30)


def test_what_a_lease_leaves_no_time_for_is_handed_back() -> None:
    record_many(3)
    is_over = threading.Event()

    def watch(request: Request) -> None:
        # As slow as the lease is short, once.
        if len(server.requests) == 1:
            is_over.wait(0.3)

    # What these leave for beginning to send is a quarter of the lease.
    lease = {"lease": 0.8, "send_seconds": 0.5}
    with WatchedServer(watch) as server, relay_to(server.url, concurrency=1, **lease) as relay:
        tally = relay.run(until_empty=True)
    assert (tally.delivered, tally.rescheduled) == (3, 0)
    assert tally.released >= 2
    assert len(server.requests) == 3


def test_a_relay_may_run_again(sandbox: SandboxServer) -> None:
    with relay_to(sandbox.url) as relay:
        for total in (3, 6):
            record_many(3)
            assert relay.run(until_empty=True).delivered == total


def test_a_relay_leaves_no_thread_behind(sandbox: SandboxServer) -> None:
    before = set(threading.enumerate())
    record_many(5)
    with relay_to(sandbox.url) as relay:
        relay.run(until_empty=True)
        senders = [each for each in threading.enumerate() if each.name == "moloco-sender"]
        for sender in set(senders) - before:
            sender.join(PATIENCE)
            assert not sender.is_alive()
