"""The waits between deliveries of one event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp.protocol import LONGEST_WAIT, retry_wait

failures = st.integers(1, 10_000)
seconds = st.floats(0, 1e12)


def test_waits_double_from_five_seconds_and_then_probe_each_quarter_of_an_hour() -> None:
    assert [retry_wait(count) for count in range(1, 9)] == [5, 10, 20, 40, 80, 900, 900, 900]


@pytest.mark.parametrize(
    ("count", "retry_after", "wait"),
    [(1, 0, 5), (1, 3, 5), (1, 5, 5), (1, 30, 30), (5, 79.5, 80), (6, 899, 900), (6, 3600, 3600)],
)
def test_a_server_may_ask_for_a_longer_wait(count: int, retry_after: float, wait: float) -> None:
    assert retry_wait(count, retry_after) == wait


@pytest.mark.parametrize("retry_after", [86_401, 999_999_999, 250_000_000_000])
def test_no_server_can_put_an_event_off_for_more_than_a_day(retry_after: float) -> None:
    assert retry_wait(1, retry_after) == 86_400


@given(failures, st.none() | seconds)
def test_one_more_failure_never_shortens_the_wait(count: int, retry_after: float | None) -> None:
    assert retry_wait(count + 1, retry_after) >= retry_wait(count, retry_after)


@given(failures, seconds)
def test_retry_after_never_shortens_the_wait(count: int, retry_after: float) -> None:
    assert retry_wait(count, retry_after) >= retry_wait(count)


@given(failures, seconds, seconds)
def test_a_longer_retry_after_never_shortens_the_wait(count: int, one: float, two: float) -> None:
    shorter, longer = sorted([one, two])
    assert retry_wait(count, shorter) <= retry_wait(count, longer)


@given(failures, st.none() | seconds)
def test_every_wait_is_within_the_bounds(count: int, retry_after: float | None) -> None:
    assert 5 <= retry_wait(count, retry_after) <= LONGEST_WAIT
