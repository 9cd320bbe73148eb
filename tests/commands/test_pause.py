"""``moloco_pause`` and ``moloco_resume``."""

from __future__ import annotations

import pytest

from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.protocol import State
from django_moloco_rmp.sandbox import SandboxServer
from tests.commands.run import run
from tests.outbox.relays import relay_to
from tests.outbox.samples import record

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def state(using: str = "default") -> State:
    return Gate(using).look().circuit.state


def fail(held: Held) -> None:
    held.circuit = held.circuit.failed(held.now, held.circuit.generation, 0.0)


def test_nothing_is_sent_in_a_pause_and_all_of_it_afterwards(sandbox: SandboxServer) -> None:
    record("a", "b")
    assert "Paused" in run("moloco_pause").out
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True).delivered == 0
    assert sandbox.events() == []
    assert "Resumed: events are sent." in run("moloco_resume").out
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True).delivered == 2


def test_a_second_time_changes_nothing() -> None:
    run("moloco_pause")
    since = Gate("default").look().circuit.changed_at
    assert "It was paused already." in run("moloco_pause").out
    assert Gate("default").look().circuit.changed_at == since
    run("moloco_resume")
    assert "It was not paused" in run("moloco_resume").out


def test_resume_has_an_event_tried_that_waits_for_a_time_of_its_own(
    sandbox: SandboxServer,
) -> None:
    sandbox.fault({"status": 503, "count": 1})
    record("order-1")
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True).rescheduled == 1
    ran = run("moloco_resume")
    assert ran.out == "A relay tries one event now; if Moloco accepts it, the others follow.\n"
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True).delivered == 1


def test_resume_says_so_if_nothing_waits() -> None:
    Gate("default").change(fail)
    ran = run("moloco_resume")
    assert ran.out == "Nothing waits: the next event is the one that a relay tries.\n"


def test_resume_has_a_failing_server_tried_at_once() -> None:
    record("order-1")
    Gate("default").change(fail)
    assert Gate("default").change(lambda held: held.circuit.permit(held.now, 9)).calls == 0
    ran = run("moloco_resume")
    assert ran.out == "A relay tries one event now; if Moloco accepts it, the others follow.\n"
    permit = Gate("default").change(lambda held: held.circuit.permit(held.now, 9))
    assert (permit.calls, permit.is_probe) == (1, True)


def test_one_relay_until_empty_sends_all_once_its_probe_is_accepted(
    sandbox: SandboxServer,
) -> None:
    sandbox.fault({"delay": 0.2, "count": 1})
    record("a", "b", "c")
    Gate("default").change(fail)
    run("moloco_resume")
    with relay_to(sandbox.url) as relay:
        assert relay.run(until_empty=True).delivered == 3


def test_resume_after_a_pause_in_an_outage() -> None:
    record("order-1")
    Gate("default").change(fail)
    run("moloco_pause")
    assert run("moloco_resume").out.startswith("Resumed. A relay tries one event now")
    assert state() is State.BACKOFF


def test_the_database_that_is_named() -> None:
    run("moloco_pause", "--database", "other")
    assert (state("default"), state("other")) == (State.CLOSED, State.PAUSED)
