"""What is known of the database's clock, from readings that take their time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp.protocol import SECOND
from django_moloco_rmp.readings import Reading, Readings

#: Seconds by which the database's clock is ahead of this process's, in these tests.
AHEAD = 1000.0


def reading(at: float, before: float, after: float, ahead: float = AHEAD) -> Reading:
    """One that was made at a moment, after so many seconds of asking, and of telling."""
    return Reading(int((at + ahead) * SECOND), at - before, at + after)


@given(
    st.lists(
        st.tuples(*[st.floats(0, 2)] * 3).map(lambda times: (times[0], times[1] / 2, times[2] / 2)),
        min_size=1,
        max_size=80,
    )
)
def test_no_moment_is_too_early_and_none_later_than_by_the_last_reading(
    readings: list[tuple[float, float, float]],
) -> None:
    clock, at = Readings(), 0.0
    for pause, before, after in readings:
        at += before + pause
        last = reading(at, before, after)
        closest = clock.closest(last)
        at += after
        moment = int((at + AHEAD) * SECOND)
        assert at - 1e-5 <= closest.latest(moment) <= at + closest.doubt + 1e-5
        assert closest.doubt <= last.doubt


@given(st.floats(0, 9), st.floats(0, 9))
def test_clocks_that_tell_whole_milliseconds_agree_with_themselves(
    one: float, other: float
) -> None:
    # As SQLite's does.
    readings = [
        Reading(int((at + AHEAD) * 1000) * 1000, at - 1e-5, at + 1e-5) for at in (one, other)
    ]
    assert readings[0].agrees_with(readings[1])
    assert readings[1].agrees_with(readings[0])


def test_a_quick_reading_helps_a_slow_one() -> None:
    clock = Readings()
    quick = reading(0.0, 0.001, 0.001)
    clock.closest(quick)
    assert clock.closest(reading(5.0, 0.0, 0.3)) == quick
    assert clock.closest(reading(9.9, 0.0, 0.3)) == quick


def test_one_of_long_ago_does_not() -> None:
    clock = Readings()
    clock.closest(reading(0.0, 0.001, 0.001))
    good = reading(8.0, 0.01, 0.01)
    clock.closest(good)
    assert clock.closest(reading(10.1, 0.0, 0.3)) == good


@pytest.mark.parametrize("step", [0.35, -0.35, 3600, -3600])
def test_a_clock_that_was_set_is_believed(step: float) -> None:
    clock = Readings()
    clock.closest(reading(0.0, 0.001, 0.001))
    slow = reading(1.0, 0.0, 0.3, AHEAD + step)
    assert clock.closest(slow) == slow
