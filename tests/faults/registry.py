"""All faults, by the names they have in the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults import clocks, crashes, databases, queues, rates, soak, suites, vendor
from tests.faults.bench import Bench, Outcome


@dataclass(frozen=True, slots=True)
class Fault:
    """
    One fault. ``run`` raises AssertionError if its criterion is not met.

    ``is_patient`` if it mostly waits, so that the databases may take their turns at the same time.
    """

    key: str
    title: str
    run: Callable[[Bench], Outcome]
    is_long_only: bool = False
    is_patient: bool = False


FAULTS = (
    Fault("F1", "four relays, one backlog", crashes.four_relays),
    Fault("F2", "kill -9 of random relays", crashes.killed_relays, is_patient=True),
    Fault("F3", "shop killed between commit and wake", crashes.killed_emitter),
    Fault("F4", "rollbacks", crashes.rollbacks),
    Fault("F5", "503 for a minute", vendor.short_outage),
    Fault(
        "F5r",
        "the same in real time",
        vendor.outage_in_real_time,
        is_long_only=True,
        is_patient=True,
    ),
    Fault("F6", "503 for two hours", vendor.long_outage),
    Fault("F7", "eight in flight fail at once", vendor.eight_in_flight),
    Fault("F8", "the prober is killed", vendor.killed_prober, is_patient=True),
    Fault("F9", "429: the server slows us down", rates.throttled, is_patient=True),
    Fault("F10", "six processes, MAX_QPS = 30", rates.capped),
    Fault("F11", "400 for 1 %", vendor.refused_events),
    Fault("F12", "401 for everything", vendor.wrong_key),
    Fault("F13", "a poisonous event", vendor.poison),
    Fault("F14", "answers lost after acceptance", vendor.lost_answers),
    Fault("F15", "the database's connections end", databases.lost_database),
    Fault("F16", "four relays, four shops", databases.lock_storm),
    Fault("F17", "a relay outlives its lease", crashes.stopped_relay, is_patient=True),
    Fault("F18", "fork with a relay at work", crashes.forked_shop),
    Fault("F19", "SIGTERM in the middle", crashes.terminated_relay),
    Fault("F20", "task queues that are away", queues.queue_away),
    Fault("F21", "the shop's clock is wrong", clocks.wrong_clock),
    Fault("F22", "a million rows wait", databases.full_table, is_long_only=True),
    Fault("F23", "Django's test runner", suites.test_runner, is_long_only=True),
    Fault(
        "F24",
        "the outbox against its model",
        suites.state_machine,
        is_long_only=True,
        is_patient=True,
    ),
    Fault("F25", "soak", soak.soak, is_patient=True),
)
