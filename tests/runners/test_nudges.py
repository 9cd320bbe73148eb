"""Nudges: a thread of its own tells the queue, whatever the queue takes its time for."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator

import pytest

from django_moloco_rmp.bell import Bell
from django_moloco_rmp.runners.nudges import Nudger

PATIENCE = 30.0


class Broker:
    """Says when it is called, and answers when it is told how."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[float] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def __call__(self) -> None:
        self.calls.put(time.monotonic())
        answer = self.answers.get(timeout=PATIENCE)
        if answer is not None:
            raise answer

    def called(self) -> float:
        return self.calls.get(timeout=PATIENCE)

    def has_been_called(self) -> bool:
        return not self.calls.empty()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def nudger(broker: Broker, bell: Bell) -> Iterator[Nudger]:
    nudger = Nudger(broker, "default", bell=bell, drain_seconds=1.0, pause=0.1)
    nudger.wake()
    yield nudger
    nudger.stop()
    nudger.close()
    # Whatever the test has left unanswered.
    broker.answers.put(None)
    broker.answers.put(None)


def finished(nudger: Nudger, bell: Bell) -> float:
    """Drive it to its end, as the background thread does; return how many seconds it took."""
    started = time.monotonic()
    while (wait := nudger.step()) is not None:
        bell.wait(wait)
    return time.monotonic() - started


def test_many_wakes_are_one_nudge_after_a_pause(broker: Broker, nudger: Nudger, bell: Bell) -> None:
    first = broker.called()
    for _ in range(1000):
        nudger.wake()
    broker.answers.put(None)
    second = broker.called()
    assert second - first >= 0.1
    broker.answers.put(None)
    nudger.wake()
    assert broker.called() - second >= 0.1
    broker.answers.put(None)
    # It owes no more.
    nudger.stop()
    assert finished(nudger, bell) < 0.9
    assert not broker.has_been_called()


def test_unless_it_is_woken_it_says_nothing(broker: Broker, bell: Bell) -> None:
    nudger = Nudger(broker, "default", bell=bell, drain_seconds=1.0)
    nudger.stop()
    assert finished(nudger, bell) < 0.9
    nudger.close()
    assert not broker.has_been_called()


def test_a_fork_may_wait_for_the_end_of_a_call(broker: Broker, nudger: Nudger) -> None:
    broker.called()
    assert not nudger.talking.acquire(timeout=0.1)
    broker.answers.put(None)
    assert nudger.talking.acquire(timeout=PATIENCE)
    nudger.talking.release()


def test_who_wakes_it_waits_for_no_broker(broker: Broker, nudger: Nudger) -> None:
    broker.called()
    started = time.monotonic()
    nudger.wake()
    assert nudger.step() == 3600
    assert time.monotonic() - started < 1


def test_a_nudge_that_failed_is_tried_again_later_and_later(
    broker: Broker, nudger: Nudger, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "django_moloco_rmp"):
        moments = [broker.called()]
        for _ in range(2):
            broker.answers.put(ConnectionRefusedError("nobody there"))
            moments.append(broker.called())
        broker.answers.put(None)
        nudger.wake()
        broker.called()
    assert moments[1] - moments[0] >= 0.2
    assert moments[2] - moments[1] >= 0.4
    # One line when it goes and one when it comes, however often it is tried.
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("ERROR", "The task queue cannot be told of new events; they wait in the outbox"),
        ("WARNING", "The task queue can be told of new events again"),
    ]


def test_at_the_end_what_is_wanted_goes_at_once(broker: Broker, nudger: Nudger, bell: Bell) -> None:
    broker.called()
    nudger.wake()
    broker.answers.put(None)
    nudger.stop()
    broker.answers.put(None)
    assert finished(nudger, bell) < 1
    assert broker.has_been_called()
    # Buffered events may be written after that.
    broker.called()
    nudger.wake()
    broker.answers.put(None)
    assert finished(nudger, bell) < 1
    broker.called()


def test_the_end_waits_for_a_silent_broker_only_so_long(
    broker: Broker, nudger: Nudger, bell: Bell
) -> None:
    broker.called()
    nudger.stop()
    assert 0.9 < finished(nudger, bell) < 5


def test_what_fails_at_the_end_is_given_up(broker: Broker, nudger: Nudger, bell: Bell) -> None:
    broker.called()
    nudger.stop()
    broker.answers.put(ConnectionRefusedError("nobody there"))
    assert finished(nudger, bell) < 0.9


def test_its_thread_ends(broker: Broker, bell: Bell) -> None:
    before = set(threading.enumerate())
    nudger = Nudger(broker, "default", bell=bell, drain_seconds=1.0)
    nudger.wake()
    (thread,) = set(threading.enumerate()) - before
    assert (thread.name, thread.daemon) == ("moloco-rmp-nudges", True)
    broker.answers.put(None)
    broker.called()
    nudger.stop()
    finished(nudger, bell)
    nudger.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
