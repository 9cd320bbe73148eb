"""The vendor's failure protocol: a circuit, step by step and for all steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp.protocol import (
    LONGEST_WAIT,
    MOST_REJECTIONS,
    PROBE_INTERVAL,
    SECOND,
    Circuit,
    Permit,
    Reason,
    State,
    lengthen,
    retry_wait,
)

NOW = 1_800_000_000 * SECOND
#: How long a probe may take, in seconds.
TAKES = 18.0
failures = st.integers(1, 10_000)
microseconds = st.integers(0, 10**18)
jitters = st.floats(0, 1)


def test_waits_double_from_five_seconds_and_then_probe_each_quarter_of_an_hour() -> None:
    waits = [retry_wait(count) / SECOND for count in range(1, 9)]
    assert waits == [5, 10, 20, 40, 80, 900, 900, 900]


@pytest.mark.parametrize(
    ("count", "retry_after", "wait"),
    [(1, 0, 5), (1, 3, 5), (1, 5, 5), (1, 30, 30), (5, 79.5, 80), (6, 899, 900), (6, 3600, 3600)],
)
def test_a_server_may_ask_for_a_longer_wait(count: int, retry_after: float, wait: float) -> None:
    assert retry_wait(count, int(retry_after * SECOND)) == wait * SECOND


@pytest.mark.parametrize("retry_after", [86_401, 999_999_999, 250_000_000_000])
def test_no_server_can_put_an_event_off_for_more_than_a_day(retry_after: int) -> None:
    assert retry_wait(1, retry_after * SECOND) == 86_400 * SECOND


@given(failures, st.none() | microseconds)
def test_one_more_failure_never_shortens_the_wait(count: int, retry_after: int | None) -> None:
    assert retry_wait(count + 1, retry_after) >= retry_wait(count, retry_after)


@given(failures, microseconds)
def test_retry_after_never_shortens_the_wait(count: int, retry_after: int) -> None:
    assert retry_wait(count, retry_after) >= retry_wait(count)


@given(failures, microseconds, microseconds)
def test_a_longer_retry_after_never_shortens_the_wait(count: int, one: int, two: int) -> None:
    shorter, longer = sorted([one, two])
    assert retry_wait(count, shorter) <= retry_wait(count, longer)


@given(failures, st.none() | microseconds)
def test_every_wait_is_within_the_bounds(count: int, retry_after: int | None) -> None:
    assert 5 * SECOND <= retry_wait(count, retry_after) <= LONGEST_WAIT


@given(st.integers(0, LONGEST_WAIT), jitters)
def test_jitter_only_lengthens_by_a_tenth_or_a_second_at_most(wait: int, jitter: float) -> None:
    assert wait <= lengthen(wait, jitter) <= wait + min(wait / 10, SECOND)


@pytest.mark.parametrize(("wait", "longest"), [(5, 5.5), (10, 11), (20, 21), (900, 901)])
def test_jitter_is_used_to_the_full(wait: int, longest: float) -> None:
    assert lengthen(wait * SECOND, 1.0) == longest * SECOND
    assert lengthen(wait * SECOND, 0.0) == wait * SECOND


def failed(times: int, now: int = NOW) -> Circuit:
    """A circuit after as many failures in a row, all at one moment."""
    circuit = Circuit()
    for _ in range(times):
        circuit = circuit.failed(now, circuit.generation, 0.0)
    return circuit


def probed(circuit: Circuit, now: int) -> Circuit:
    """The circuit with a probe on its way."""
    permit = circuit.permit(now, 5)
    assert permit == Permit(1, is_probe=True)
    return circuit.taken(now, permit, TAKES)


def test_a_closed_circuit_lets_all_through_and_remembers_nothing() -> None:
    circuit = Circuit()
    assert circuit.state is State.CLOSED
    assert circuit.permit(NOW, 50) == Permit(50)
    assert circuit.taken(NOW, Permit(50), TAKES) is circuit
    assert circuit.succeeded(NOW, 0) == circuit
    assert circuit.deferred(NOW, 0, SECOND) is circuit


def test_the_timetable_of_an_outage() -> None:
    circuit = Circuit()
    now = NOW
    gaps = []
    for number in range(1, 10):
        circuit = circuit.failed(now, circuit.generation, 0.0)
        assert circuit.state is (State.BACKOFF if number <= 5 else State.OPEN)
        gap = circuit.permit(now, 8).wait
        assert circuit.permit(now + gap - 1, 8) == Permit(0, wait=1)
        gaps.append(gap / SECOND)
        now += gap
        circuit = probed(circuit, now)
    assert gaps == [5, 10, 20, 40, 80, 900, 900, 900, 900]
    circuit = circuit.succeeded(now, circuit.generation)
    assert circuit.state is State.CLOSED
    assert circuit.permit(now, 50) == Permit(50)
    # The next outage begins from the beginning.
    assert circuit.failed(now, circuit.generation, 0.0).permit(now, 1).wait == 5 * SECOND


@given(st.integers(0, 10), st.integers(2, 50), jitters)
def test_all_failures_of_one_generation_are_one(before: int, count: int, jitter: float) -> None:
    start = failed(before)
    circuit = start
    for number in range(count):
        circuit = circuit.failed(NOW + number * SECOND, start.generation, jitter)
    assert circuit == start.failed(NOW, start.generation, jitter)
    assert circuit.failures == before + 1
    assert circuit.misconfigured(NOW, start.generation, jitter) is circuit


@given(st.integers(1, 10))
def test_a_success_from_before_the_failure_does_not_close(count: int) -> None:
    circuit = failed(count)
    for generation in range(circuit.generation):
        assert circuit.succeeded(NOW, generation) is circuit
    assert circuit.succeeded(NOW, circuit.generation).state is State.CLOSED


def test_calls_of_the_outage_say_nothing_of_the_time_after_it() -> None:
    during = failed(3)
    after = during.succeeded(NOW, during.generation)
    assert after.failed(NOW, during.generation, 0.0) is after


def test_one_probe_at_a_time_until_it_has_come_back_or_taken_too_long() -> None:
    now = NOW + 5 * SECOND
    circuit = probed(failed(1), now)
    for moment in (now, now + 17 * SECOND):
        assert circuit.permit(moment, 8).calls == 0
    assert circuit.permit(now, 8).wait == 18 * SECOND
    # A prober that was killed blocks nobody for longer.
    assert circuit.permit(now + 18 * SECOND, 8) == Permit(1, is_probe=True)
    # It was not made after all.
    assert circuit.returned(circuit.generation).permit(now, 8) == Permit(1, is_probe=True)
    assert circuit.returned(circuit.generation - 1) is circuit


def test_nobody_takes_more_than_is_wanted() -> None:
    assert failed(1).permit(NOW + 5 * SECOND, 0) == Permit(0, is_probe=True)


@pytest.mark.parametrize(("asked", "wait"), [(3, 5), (30, 30), (900, 900), (86_400, 900)])
def test_a_failing_server_may_ask_the_circuit_for_more_time(asked: int, wait: int) -> None:
    circuit = Circuit().failed(NOW, 0, 0.0, asked * SECOND)
    assert circuit.blocked_until == NOW + wait * SECOND


@pytest.mark.parametrize("before", [0, 1, 5, 6, 9])
def test_a_wrong_setting_opens_at_once(before: int) -> None:
    circuit = failed(before)
    circuit = circuit.misconfigured(NOW, circuit.generation, 0.0)
    assert (circuit.state, circuit.reason) == (State.OPEN, Reason.CONFIGURATION)
    assert circuit.permit(NOW, 8) == Permit(0, wait=PROBE_INTERVAL)
    assert circuit.permit(NOW + PROBE_INTERVAL, 8) == Permit(1, is_probe=True)


def rejected(circuit: Circuit, times: int, generation: int = 0) -> tuple[Circuit, list[bool]]:
    believed = []
    for _ in range(times):
        circuit, is_its_fault = circuit.rejected(NOW, generation, 0.0)
        believed.append(is_its_fault)
    return circuit, believed


def test_the_twentieth_rejection_in_a_row_is_not_believed_nor_any_after_it() -> None:
    circuit, believed = rejected(Circuit(), 25)
    assert believed == [True] * 19 + [False] * 6
    assert (circuit.state, circuit.reason) == (State.OPEN, Reason.REJECTIONS)
    assert circuit.permit(NOW, 8) == Permit(0, wait=PROBE_INTERVAL)
    # A refused probe keeps it open, and is kept as well.
    later = NOW + PROBE_INTERVAL
    circuit, is_its_fault = probed(circuit, later).rejected(later, circuit.generation, 0.0)
    assert not is_its_fault
    assert circuit.permit(later, 8) == Permit(0, wait=PROBE_INTERVAL)
    assert circuit.reason is Reason.REJECTIONS
    # One success, and events are to blame again.
    circuit = circuit.succeeded(later, circuit.generation)
    assert circuit.state is State.CLOSED
    assert rejected(circuit, 1, circuit.generation)[1] == [True]


@given(st.lists(st.integers(0, MOST_REJECTIONS - 1), max_size=5))
def test_a_success_in_between_starts_the_row_anew(rows: list[int]) -> None:
    circuit = Circuit()
    for count in rows:
        circuit, believed = rejected(circuit, count)
        assert all(believed)
        circuit = circuit.succeeded(NOW, circuit.generation)
    assert circuit == Circuit()


@pytest.mark.parametrize("reason", [Reason.SERVER, Reason.CONFIGURATION])
def test_a_refused_probe_lets_the_next_be_tried_at_once(reason: Reason) -> None:
    circuit = failed(3)
    if reason is Reason.CONFIGURATION:
        circuit = circuit.misconfigured(NOW, circuit.generation, 0.0)
    now = circuit.blocked_until
    refused, is_its_fault = probed(circuit, now).rejected(now, circuit.generation, 0.0)
    assert is_its_fault
    assert refused.permit(now, 8) == Permit(1, is_probe=True)
    assert (refused.failures, refused.reason) == (circuit.failures, reason)


def test_a_refusal_from_before_the_failure_lets_nothing_be_tried() -> None:
    circuit = failed(2)
    after, is_its_fault = circuit.rejected(NOW, 0, 0.0)
    assert is_its_fault
    assert after.permit(NOW, 8) == circuit.permit(NOW, 8)


def test_a_row_of_rejections_is_noticed_during_an_outage_too() -> None:
    circuit, believed = rejected(failed(2), 25, 2)
    assert believed == [True] * 19 + [False] * 6
    assert (circuit.state, circuit.reason) == (State.OPEN, Reason.REJECTIONS)


def test_a_throttled_probe_is_neither_success_nor_failure() -> None:
    circuit = probed(failed(3), NOW + 20 * SECOND)
    now = NOW + 21 * SECOND
    deferred = circuit.deferred(now, circuit.generation, 7 * SECOND)
    assert (deferred.failures, deferred.generation) == (3, circuit.generation)
    assert deferred.permit(now, 8) == Permit(0, wait=7 * SECOND)
    assert deferred.permit(now + 7 * SECOND, 8) == Permit(1, is_probe=True)
    assert circuit.deferred(now, circuit.generation - 1, 7 * SECOND) is circuit


@pytest.mark.parametrize("count", [0, 3, 6])
def test_a_pause_stops_all_and_keeps_what_was_known(count: int) -> None:
    before = failed(count)
    circuit = before.pausing(NOW)
    assert circuit.state is State.PAUSED
    assert circuit.changed_at == NOW
    assert circuit.permit(NOW + 86_400 * SECOND, 8).calls == 0
    assert circuit.pausing(NOW + 1) is circuit
    assert circuit.failures == count
    circuit = circuit.resuming(NOW + SECOND)
    assert circuit.state is before.state
    permit = circuit.permit(NOW + SECOND, 8)
    # Whoever resumes wants to see whether it works.
    assert permit == (Permit(1, is_probe=True) if count else Permit(8))


def test_what_was_on_its_way_when_it_was_paused_counts() -> None:
    paused = failed(3).pausing(NOW)
    failing = paused.failed(NOW, paused.generation, 0.0)
    assert (failing.state, failing.failures) == (State.PAUSED, 4)
    working = paused.succeeded(NOW, paused.generation)
    assert (working.state, working.failures) == (State.PAUSED, 0)
    assert working.resuming(NOW).permit(NOW, 8) == Permit(8)


def test_resuming_what_is_not_paused_probes_at_once() -> None:
    circuit = failed(6)
    assert circuit.resuming(NOW).permit(NOW, 8) == Permit(1, is_probe=True)
    assert circuit.resuming(NOW).changed_at == circuit.changed_at
    assert probed(circuit.probing(NOW), NOW).probing(NOW).permit(NOW, 8).calls == 1


def test_it_is_known_since_when_the_state_lasts() -> None:
    first = failed(1, NOW)
    assert first.changed_at == NOW
    assert first.failed(NOW + 1, first.generation, 0.0).changed_at == NOW
    opened = replace(failed(5, NOW)).failed(NOW + 2, 5, 0.0)
    assert (opened.state, opened.changed_at) == (State.OPEN, NOW + 2)
    mended = opened.misconfigured(NOW + 3, opened.generation, 0.0)
    assert (mended.reason, mended.changed_at) == (Reason.CONFIGURATION, NOW + 3)
    assert mended.succeeded(NOW + 4, mended.generation).changed_at == NOW + 4


steps = st.lists(
    st.tuples(
        st.sampled_from(["failed", "misconfigured", "rejected", "succeeded", "deferred"]),
        st.integers(0, 1000) | st.just(0),
        st.integers(-2, 0),
        jitters,
    ),
    max_size=60,
)


@given(steps)
def test_of_a_destination_that_is_not_well_there_is_one_call_at_a_time(
    taken: list[tuple[str, int, int, float]],
) -> None:
    now, circuit = NOW, Circuit()
    for verb, seconds, age, jitter in taken:
        now += seconds * SECOND
        generation = circuit.generation + age
        before = circuit
        if verb in {"failed", "misconfigured"}:
            circuit = getattr(circuit, verb)(now, generation, jitter)
        elif verb == "rejected":
            circuit, _ = circuit.rejected(now, generation, jitter)
        elif verb == "deferred":
            circuit = circuit.deferred(now, generation, SECOND)
        else:
            circuit = circuit.succeeded(now, generation)
        assert circuit.generation >= before.generation
        if circuit.failures > before.failures:
            assert circuit.blocked_until >= now + 5 * SECOND
        if circuit.failures:
            permit = circuit.permit(now, 8)
            assert permit.calls <= 1
            if permit.calls:
                assert circuit.taken(now, permit, TAKES).permit(now, 8).calls == 0
