"""Task queues with real workers: what is sent, and what becomes of it when they break."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.sandbox import SandboxServer
from tests.faults.rates import most_in_a_second
from tests.outbox.samples import record
from tests.processes.children import PATIENCE, Shop, manage, relay, started, wait_until
from tests.processes.servers.serving import ids, lack
from tests.runners.brokers import Redis, refusing_port, silent_port

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.servers,
]
RABBITMQ = os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")
QUEUE = "moloco-rmp"
#: Seconds between two entries of the timetable, where a test waits for one.
FLOOR = 3
#: Quick to give up, and quick to be taken up again.
BRISK = {"TIMEOUT": [0.5, 0.5], "LEASE": 10, "CONCURRENCY": 2}


@dataclass
class Broker:
    """A broker with a queue of the test's own."""

    url: str
    queue: str
    redis: Redis | None = None

    def lose_queue(self) -> None:
        """Let it forget what it has."""
        if self.redis is not None:
            self.redis.kill()
            self.redis.start()
        else:
            self.delete_queue()

    def delete_queue(self) -> None:
        from kombu import Connection  # noqa: PLC0415  (may be missing)

        with Connection(self.url, connect_timeout=5) as connection:
            connection.default_channel.queue_delete(self.queue)


@contextmanager
def redis_broker() -> Iterator[Broker]:
    if not Redis.is_here():
        lack("redis-server is not installed")
    with Redis() as redis:
        yield Broker(redis.url, QUEUE, redis)


@contextmanager
def rabbitmq_broker() -> Iterator[Broker]:
    server = urlsplit(RABBITMQ)
    try:
        socket.create_connection((server.hostname, server.port or 5672), 5).close()
    except OSError:
        lack("no RabbitMQ answers; TEST_RABBITMQ_URL names another")
    broker = Broker(RABBITMQ, f"{QUEUE}-{uuid4()}")
    yield broker
    broker.delete_queue()


BROKERS = {"redis": redis_broker, "rabbitmq": rabbitmq_broker}


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    pytest.importorskip("celery")
    with BROKERS[request.param]() as broker:
        monkeypatch.setenv("SHOP_BROKER_URL", broker.url)
        monkeypatch.setenv("SHOP_QUEUE", broker.queue)
        yield broker


def kill_all(pid: int) -> None:
    """Kill a process and its children, as when their machine goes down."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(pid, signal.SIGKILL)
    for child in map(int, children):
        os.kill(child, signal.SIGKILL)


@contextmanager
def celery_worker(folder: Path, **moloco_rmp: Any) -> Iterator[int]:
    """A Celery worker with a timetable; killed at the end."""
    # Celery's workers of one name, on one RabbitMQ, get in each other's way.
    own = ["--hostname", f"{uuid4()}@%h", "--queues", os.environ["SHOP_QUEUE"]]
    arguments = ["--app", "tests.runners.project", "worker", "--concurrency", "1", *own]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"]
    beat = ["--beat", "--schedule", str(folder / f"beat-{uuid4()}")]
    with started(
        "-m", "celery", *arguments, *beat, *quiet, **{"RELAY": "celery", **moloco_rmp}
    ) as process:
        try:
            yield process.pid
        finally:
            if process.poll() is None:
                kill_all(process.pid)
            # Of a test that fails.
            print(process.communicate()[1])


def test_workers_are_told_of_events_and_send_them(
    sandbox: SandboxServer, broker: Broker, tmp_path: Path
) -> None:
    # The timetable calls no sooner than in an hour.
    with celery_worker(tmp_path, BASE_URL=sandbox.url):
        with Shop(RELAY="celery", BASE_URL=sandbox.url) as shop:
            emitted = shop("emit", "PURCHASE") + shop("emit", "PAGE_VIEW", "3")
            wait_until(lambda: sorted(ids(sandbox)) == sorted(emitted))
            emitted += shop("emit", "PURCHASE", "20")
            wait_until(lambda: sorted(ids(sandbox)) == sorted(emitted))
            names = [name for name, _ in shop("threads")]
            assert sorted(names) == ["moloco-rmp", "moloco-rmp-nudges"]
            # Written, and told, by the process that ends at once.
            emitted += shop("emit", "PAGE_VIEW", "3")
            assert shop.end() == ""
        wait_until(lambda: sorted(ids(sandbox)) == sorted(emitted))
        wait_until(lambda: not OutboxEvent.objects.exists())


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(
    sandbox: SandboxServer, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_FLOOR", str(FLOOR))
    sandbox.fault({"delay": 0.1, "count": 1000})
    with ExitStack() as stack:
        shop = stack.enter_context(Shop(RELAY="celery", BASE_URL=sandbox.url))
        emitted, _ = shop("sell", "60")
        worker = stack.enter_context(celery_worker(tmp_path, BASE_URL=sandbox.url, **BRISK))
        wait_until(lambda: len(ids(sandbox)) >= 10)
        kill_all(worker)
        assert OutboxEvent.objects.exists()
        stack.enter_context(celery_worker(tmp_path, BASE_URL=sandbox.url, **BRISK))
        wait_until(lambda: not OutboxEvent.objects.exists())
    assert set(ids(sandbox)) == set(emitted)


def test_a_queue_that_is_lost_costs_no_more_than_the_floor(
    sandbox: SandboxServer, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_FLOOR", str(FLOOR))
    with Shop(RELAY="celery", BASE_URL=sandbox.url) as shop:
        emitted = shop("emit", "PURCHASE", "5")
        # It publishes what there is to publish before it ends.
        shop.end()
    broker.lose_queue()
    with celery_worker(tmp_path, BASE_URL=sandbox.url):
        wait_until(lambda: sorted(ids(sandbox)) == sorted(emitted))


@contextmanager
def broker_away(kind: str) -> Iterator[str]:
    """The URL of a broker that refuses, or of one that never answers."""
    scheme, _, how = kind.partition(" ")
    with (refusing_port if how == "refuses" else silent_port)() as port:
        yield f"{scheme}://127.0.0.1:{port}//"


@pytest.mark.alone
@pytest.mark.parametrize(
    "kind", ["redis refuses", "redis is silent", "amqp refuses", "amqp is silent"]
)
def test_a_shop_without_its_broker_waits_for_nothing_and_the_floor_delivers(
    sandbox: SandboxServer, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("celery")
    monkeypatch.setenv("SHOP_FLOOR", str(FLOOR))
    with ExitStack() as stack:
        # Its workers have one.
        monkeypatch.setenv("SHOP_QUEUE", QUEUE)
        monkeypatch.setenv("SHOP_BROKER_URL", stack.enter_context(redis_broker()).url)
        stack.enter_context(celery_worker(tmp_path, BASE_URL=sandbox.url))
        usual = stack.enter_context(Shop(RELAY="thread", BASE_URL=sandbox.url))
        emitted, expected = usual("sell", "100")
        usual.end()
        wait_until(lambda: sorted(ids(sandbox)) == sorted(emitted))
        monkeypatch.setenv("SHOP_BROKER_URL", stack.enter_context(broker_away(kind)))
        shop = stack.enter_context(Shop(RELAY="celery", BASE_URL=sandbox.url))
        sold, took = shop("sell", "100")
        begun = time.monotonic()
        emitted += sold
        wait_until(lambda: sorted(ids(sandbox)) == sorted(emitted))
        assert time.monotonic() - begun < FLOOR + 5
        assert statistics.median(took) < statistics.median(expected) + 0.005
        begun = time.monotonic()
        errors = shop.end()
        assert time.monotonic() - begun < 5
        # Whoever never answers has not failed to yet, perhaps.
        failures = errors.count("The task queue cannot be told of new events")
        assert failures == 1 or (failures == 0 and kind.endswith("silent"))


def test_a_worker_makes_room_for_others_and_has_itself_called_again(
    sandbox: SandboxServer, broker: Broker, tmp_path: Path
) -> None:
    sandbox.fault({"delay": 0.2, "count": 1000})
    # Who reports them tells nobody.
    with Shop(RELAY="command") as shop:
        emitted = shop("emit", "PURCHASE", "10")
    with Shop(RELAY="celery", BASE_URL=sandbox.url, CONCURRENCY=1) as worker:
        worker("drain_outbox", "0.5")
        assert 1 <= len(ids(sandbox)) < 10
        # What it publishes is for another one, whose timetable has an hour to go.
        with celery_worker(tmp_path, BASE_URL=sandbox.url):
            wait_until(lambda: sorted(ids(sandbox)) == sorted(emitted))


def test_a_broker_that_comes_back_empty_is_told_by_those_who_live(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("celery")
    monkeypatch.setenv("SHOP_QUEUE", QUEUE)
    with redis_broker() as broker, ExitStack() as stack:
        monkeypatch.setenv("SHOP_BROKER_URL", broker.url)
        stack.enter_context(celery_worker(tmp_path, BASE_URL=sandbox.url))
        shop = stack.enter_context(Shop(RELAY="celery", BASE_URL=sandbox.url))
        emitted = shop("emit")
        wait_until(lambda: ids(sandbox) == emitted)
        assert broker.redis is not None
        # Celery's worker may hang for good if its broker goes before the task was acknowledged.
        wait_until(lambda: broker.redis.ask("HLEN unacked") == ":0")
        broker.redis.kill()
        emitted += shop("emit", "PURCHASE", "5")
        broker.redis.start()
        # Nobody's timetable calls: shop and worker have come back by themselves.
        wait_until(lambda: sorted(ids(sandbox)) == sorted(emitted))


def test_workers_of_djangos_tasks_send_and_one_that_is_killed_loses_nothing(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("django_tasks_db")
    monkeypatch.setenv("SHOP_TASKS", "django_tasks_db.DatabaseBackend")
    worker = ["-m", "django", "db_worker", "--interval", "0.2"]
    options = {"RELAY": "tasks", "BASE_URL": sandbox.url, **BRISK}
    # Its table stays, until the test database goes.
    assert manage("migrate", "django_tasks_database", "--verbosity", "0").returncode == 0
    with ExitStack() as stack:
        shop = stack.enter_context(Shop(RELAY="tasks", BASE_URL=sandbox.url))
        process = stack.enter_context(started(*worker, **options))
        emitted = shop("emit", "PURCHASE", "5") + shop("emit", "PAGE_VIEW", "5")
        wait_until(lambda: sorted(ids(sandbox)) == sorted(emitted))
        sandbox.fault({"delay": 0.1, "count": 1000})
        emitted += shop("emit", "PURCHASE", "60")
        wait_until(lambda: len(ids(sandbox)) >= 20)
        process.kill()
        process.wait()
        assert OutboxEvent.objects.exists()
        shop.end()
        # The task is at work for ever; the events are due again, and a cron job sees to them.
        deadline = time.monotonic() + PATIENCE
        while OutboxEvent.objects.exists() and time.monotonic() < deadline:
            manage("moloco_relay", "--until-empty", **options)
        assert set(ids(sandbox)) == set(emitted)


@pytest.mark.alone
def test_all_runners_at_once_share_one_limit_and_one_probe(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("celery")
    limit = 20
    monkeypatch.setenv("SHOP_FLOOR", "1")
    options = {"BASE_URL": sandbox.url, "MAX_QPS": limit}
    with ExitStack() as stack:
        monkeypatch.setenv("SHOP_QUEUE", QUEUE)
        monkeypatch.setenv("SHOP_BROKER_URL", stack.enter_context(redis_broker()).url)
        for _ in range(2):
            stack.enter_context(celery_worker(tmp_path, **options))
        record("first")
        # By a worker, as nobody else is there yet.
        wait_until(lambda: ids(sandbox) == ["first"])
        shops = [stack.enter_context(Shop(RELAY="thread", **options)) for _ in range(2)]
        stack.enter_context(relay(**options))
        emitted = ["first"]
        for _ in range(5):
            for shop in shops:
                emitted += shop("emit", "PURCHASE", "20")
        wait_until(lambda: sorted(ids(sandbox)) == sorted(emitted))
        times = sorted(call.received_at for call in sandbox.calls())
        # A call arrives as late as the machine is busy.
        assert most_in_a_second(times) <= limit + 5

        sandbox.clear()
        sandbox.fault({"status": 503, "count": None})
        for shop in shops:
            emitted += shop("emit", "PURCHASE", "20")
        wait_until(lambda: Gate("default").look().circuit.failures == 3)
        first, *probes = first_of_each_episode(sandbox)
        assert len(probes) == 2
        assert probes[0] - first >= 5
        assert probes[1] - probes[0] >= 10
    assert OutboxEvent.objects.filter(state=OutboxEvent.State.PENDING).count() == 40


def first_of_each_episode(sandbox: SandboxServer) -> list[float]:
    """When calls began to fail, with those on their way at the time; then of each call after."""
    times = sorted(call.received_at for call in sandbox.calls())
    return [times[0], *(each for each in times if each > times[0] + 3)]


@pytest.mark.alone
def test_a_queue_of_djangos_tasks_that_is_away_holds_up_nobody(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TASKS", "tests.runners.backends.Refusing")
    with Shop(RELAY="thread", BASE_URL=sandbox.url) as usual:
        emitted, expected = usual("sell", "100")
    with Shop(RELAY="tasks", BASE_URL=sandbox.url) as shop:
        sold, took = shop("sell", "100")
        emitted += sold
        errors = shop.end()
    assert statistics.median(took) < statistics.median(expected) + 0.005
    assert errors.count("The task queue cannot be told of new events") == 1
    manage("moloco_relay", "--until-empty", BASE_URL=sandbox.url)
    assert set(ids(sandbox)) == set(emitted)
