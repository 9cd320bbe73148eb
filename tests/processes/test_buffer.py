"""Browsing events, which wait in memory for a moment before they are written."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from typing import Any

import django
import pytest

from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Entry
from django_moloco_rmp.runners.thread import Background
from django_moloco_rmp.sandbox import SandboxServer
from tests.outbox.relays import relay_to, running
from tests.outbox.samples import event, record, without_table
from tests.processes.children import PATIENCE, Shop, locked_outbox, manage, sessions, wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.slow,
]

needs_tasks = pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has no tasks before 6.0")
THREAD = ["moloco-rmp", True]


def written(using: str = "default") -> list[str]:
    return sorted(OutboxEvent.objects.using(using).values_list("event_id", flat=True))


def test_a_view_makes_no_query_and_needs_no_connection_and_is_written_soon() -> None:
    with Shop(RELAY="command") as shop:
        ages = []
        for number in range(1, 6):
            event_id, queries, connected = shop("view")
            assert (queries, connected) == (0, False)
            wait_until(lambda number=number: OutboxEvent.objects.count() == number)
            row = OutboxEvent.objects.get(event_id=event_id)
            happened = int(event_id.replace("-", "")[:12], 16) / 1000
            ages.append(row.created_at.timestamp() - happened)
    # At its best: how long it takes beside others is the machine's affair.
    assert min(ages) < 0.2


def test_many_are_written_together_and_what_is_rolled_back_is_not() -> None:
    with Shop(RELAY="command") as shop:
        shop("begin")
        shop("emit", "PAGE_VIEW", "3")
        shop("rollback")
        kept = shop("emit", "PAGE_VIEW", "1200")
        shop("begin")
        kept += shop("emit", "PAGE_VIEW", "2")
        shop("commit")
        wait_until(lambda: OutboxEvent.objects.count() >= len(kept))
        assert shop("threads") == [THREAD]
    assert written() == sorted(kept)


def test_one_thread_writes_to_several_databases_and_relays_from_them(
    sandbox: SandboxServer,
) -> None:
    with Shop(BASE_URL=sandbox.url) as shop:
        emitted = []
        for using in ("default", "other", "default"):
            emitted += shop("emit", "PAGE_VIEW", "2", using)
            emitted += shop("emit", "PURCHASE", "1", using)
        sandbox.wait_for(len(emitted), PATIENCE)
        assert shop("threads").count(THREAD) == 1
    assert sorted(each["body"]["id"] for each in sandbox.events()) == sorted(emitted)


def test_a_database_that_is_away_for_a_while_loses_nothing() -> None:
    with Shop(RELAY="command") as shop:
        emitted = shop("emit", "PAGE_VIEW")
        wait_until(OutboxEvent.objects.exists)
        with without_table():
            emitted += shop("emit", "PAGE_VIEW", "20")
            # It has found out: the thread says so in the log.
            assert "they stay in memory" in shop.process.stderr.readline()
        wait_until(lambda: OutboxEvent.objects.count() == len(emitted))
        shop.end()
    assert written() == sorted(emitted)


def test_a_normal_end_waits_for_a_database_that_is_busy() -> None:
    with Shop(RELAY="command") as shop:
        shop("emit", "ADD_TO_CART")
        with locked_outbox():
            shop("emit", "PAGE_VIEW", "30")
            shop.process.stdin.close()
            shop.process.stdin = None
            with pytest.raises(subprocess.TimeoutExpired):
                shop.process.wait(0.5)
        shop.end()
        assert shop.process.returncode == 0
    assert OutboxEvent.objects.count() == 31


def test_what_cannot_be_written_at_the_end_is_counted_and_does_not_hold_it_up() -> None:
    with Shop(RELAY="command") as shop:
        with without_table():
            shop("emit", "PAGE_VIEW", "7")
            errors = shop.end()
        assert shop.process.returncode == 0
    assert "The process ends before 7 buffered events could be written" in errors


def test_kill_9_loses_what_was_buffered_at_most(sandbox: SandboxServer) -> None:
    with Shop(RELAY="command") as shop:
        before = shop("emit", "PAGE_VIEW", "3")
        wait_until(lambda: OutboxEvent.objects.count() == 3)
        orders = shop("emit", "PURCHASE", "3")
        buffered = shop("emit", "PAGE_VIEW", "50")
        shop.kill()
    manage("moloco_relay", "--until-empty", BASE_URL=sandbox.url)
    received = Counter(each["body"]["id"] for each in sandbox.events())
    assert set(before + orders) <= received.keys() <= set(before + orders + buffered)
    assert set(received.values()) == {1}


@needs_tasks
def test_a_task_queue_that_cannot_be_used_holds_up_no_event(settings: Any) -> None:
    settings.MOLOCO_RMP = {**settings.MOLOCO_RMP, "RELAY": "tasks"}
    settings.TASKS = {"default": {"BACKEND": "tests.runners.backends.Broken"}}
    background = Background()
    background.put(Entry.of(event("one")), "default", wakes=True)
    wait_until(lambda: written() == ["one"])
    background.wake("default", "default")
    background.put(Entry.of(event("two")), "default", wakes=True)
    wait_until(lambda: written() == ["one", "two"])
    background.stop()


@needs_tasks
def test_a_queue_is_told_of_what_was_written(settings: Any) -> None:
    settings.MOLOCO_RMP = {**settings.MOLOCO_RMP, "RELAY": "tasks"}
    settings.TASKS = {"default": {"BACKEND": "tests.runners.backends.Noting"}}
    from tests.runners.backends import Noting  # noqa: PLC0415

    Noting.begin()
    Noting.may_go_on.set()
    background = Background()
    background.put(Entry.of(event("one")), "default", wakes=True)
    wait_until(lambda: Noting.noted == ["default"])
    background.put(Entry.of(event("two")), "other", wakes=True)
    wait_until(lambda: Noting.noted == ["default", "other"])
    background.stop()


@needs_tasks
def test_a_queue_is_told_of_the_only_event_of_a_process(settings: Any) -> None:
    settings.MOLOCO_RMP = {**settings.MOLOCO_RMP, "RELAY": "tasks"}
    settings.TASKS = {"default": {"BACKEND": "tests.runners.backends.Noting"}}
    from tests.runners.backends import Noting  # noqa: PLC0415

    Noting.begin()
    background = Background()
    background.wake("other", "default")
    assert Noting.is_made.wait(PATIENCE)
    # The thread is busy until after the end has begun.
    background.wake("default", "default")
    end = threading.Thread(target=background.stop)
    end.start()
    wait_until(lambda: background.has_ended)
    Noting.may_go_on.set()
    end.join()
    assert sorted(Noting.noted) == ["default", "other"]


@needs_tasks
def test_the_connection_of_an_idle_thread_that_only_nudges_is_closed(settings: Any) -> None:
    settings.MOLOCO_RMP = {**settings.MOLOCO_RMP, "RELAY": "tasks"}
    settings.TASKS = {"default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend"}}
    assert not written()
    mine = len(sessions())
    background = Background(idle_seconds=0.1)
    background.put(Entry.of(event("one")), "default", wakes=True)
    wait_until(lambda: written() == ["one"])
    wait_until(lambda: len(sessions()) == mine)
    background.stop()


def test_the_connection_of_an_idle_thread_is_closed(sandbox: SandboxServer, settings: Any) -> None:
    settings.MOLOCO_RMP = {**settings.MOLOCO_RMP, "BASE_URL": sandbox.url}
    assert not written()
    mine = len(sessions())
    background = Background(idle_seconds=0.1)
    background.put(Entry.of(event("one")), "default", wakes=False)
    wait_until(lambda: written() == ["one"])
    background.put(Entry.of(event("two")), "other", wakes=True)
    sandbox.wait_for(1, PATIENCE)
    wait_until(lambda: not written("other"))
    wait_until(lambda: len(sessions()) == mine)
    background.put(Entry.of(event("three")), "default", wakes=False)
    wait_until(lambda: written() == ["one", "three"])
    background.stop()
    wait_until(lambda: len(sessions()) == mine)


def test_the_connection_of_an_idle_relay_is_closed(sandbox: SandboxServer) -> None:
    assert not written()
    mine = len(sessions())
    record("one")
    with relay_to(sandbox.url, idle_seconds=0.1) as relay, running(relay):
        sandbox.wait_for(1, PATIENCE)
        wait_until(lambda: not written())
        assert len(sessions()) > mine
        wait_until(lambda: len(sessions()) == mine)
        record("two")
        relay.wake()
        sandbox.wait_for(2, PATIENCE)
