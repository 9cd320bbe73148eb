"""How fast a destination is called: slots under a limit, and what throttling does to it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp.pace import SLOT, Pace, Slots
from django_moloco_rmp.protocol import SECOND

NOW = 1_800_000_000 * SECOND


def test_without_a_limit_all_may_start_at_once() -> None:
    pace = Pace()
    slots = pace.slots(NOW, 50, None)
    assert slots == Slots(50, NOW, 0)
    assert pace.taken(NOW, slots, 50).slots(NOW, 50, None) == Slots(50, NOW, 0)


def test_slots_are_apart_by_a_little_more_than_the_limit_asks_for() -> None:
    slots = Pace().slots(NOW, 5, 30)
    assert (slots.count, slots.first) == (5, NOW)
    assert slots.interval == pytest.approx(SECOND / 30 / 0.93, abs=1)


def test_no_slots_are_handed_out_for_later_than_the_next_second() -> None:
    pace = Pace()
    first = pace.slots(NOW, 1000, 10)
    assert first.count == 10
    assert first.first + (first.count - 1) * first.interval < NOW + SECOND
    pace = pace.taken(NOW, first, first.count)
    none = pace.slots(NOW, 1000, 10)
    assert none.count == 0
    # Asking at the time that it says brings one.
    assert pace.slots(NOW + none.wait, 1000, 10).count == 1
    assert pace.slots(NOW + none.wait - 1, 1000, 10).count == 0


def test_slots_that_were_not_taken_are_handed_out_again() -> None:
    pace = Pace()
    slots = pace.slots(NOW, 8, 10)
    taken = pace.taken(NOW, slots, 3)
    assert taken.slots(NOW, 1, 10).first == NOW + 3 * slots.interval


def test_time_that_passed_unused_is_no_credit() -> None:
    slots = Pace(next_slot=NOW).slots(NOW + 3600 * SECOND, 1000, 10)
    assert (slots.count, slots.first) == (10, NOW + 3600 * SECOND)


@pytest.mark.parametrize("limit", [0.5, 0.1, 2.5])
def test_a_limit_may_be_less_than_one_or_broken(limit: float) -> None:
    slots = Pace().slots(NOW, 5, limit)
    assert slots.interval >= SECOND / limit
    assert slots.first + (slots.count - 1) * slots.interval < NOW + SECOND


@given(
    limit=st.integers(1, 10_000),
    asks=st.lists(
        # how many are wanted and used, and how long after the ask before, in milliseconds
        st.tuples(st.integers(1, 300), st.integers(0, 300), st.integers(0, 2_500)),
        min_size=1,
        max_size=40,
    ),
    late=st.randoms(use_true_random=False),
)
def test_no_second_ever_has_more_starts_than_the_limit(
    limit: int, asks: list[tuple[int, int, int]], late: object
) -> None:
    pace, now = Pace(), NOW
    moments: list[int] = []
    for wanted, used, gap in asks:
        now += gap * 1000
        slots = pace.slots(now, wanted, limit)
        count = min(used, slots.count)
        if slots.count == 0:
            assert slots.wait > 0
            continue
        assert slots.first >= now
        pace = pace.taken(now, slots, count)
        moments += [slots.first + number * slots.interval for number in range(count)]
    # No slot twice, and each after the one before.
    assert all(one < other for one, other in pairwise(moments))
    # However late each starts: the worst is the first as late as it may be, and then none.
    starts = [moment + late.randint(0, SLOT) for moment in moments]  # type: ignore[attr-defined]
    for number in range(len(moments) - limit):
        assert moments[number + limit] - (moments[number] + SLOT) > SECOND
        assert max(starts[: number + 1]) + SECOND < min(starts[number + limit :])


@given(st.integers(1, 10_000))
def test_a_limit_is_used_to_nine_tenths(limit: int) -> None:
    interval = Pace().slots(NOW, 1, limit).interval
    assert SECOND / interval >= 0.9 * limit


def throttled(
    pace: Pace,
    *identifiers: str,
    now: int = NOW,
    granted_at: int | None = None,
    limit: float | None = 40,
) -> tuple[Pace, list[int]]:
    waits = []
    for identifier in identifiers:
        at = now if granted_at is None else granted_at
        pace, wait = pace.throttle(now, at, identifier, None, 0.0, limit)
        waits.append(wait)
    return pace, waits


@pytest.mark.parametrize("identifiers", [["a"], ["a", "b"], ["a"] * 50, ["a", "b"] * 10])
def test_one_shopper_or_two_never_slow_down_the_others(identifiers: list[str]) -> None:
    pace, _ = throttled(Pace(), *identifiers)
    assert pace.rate is None
    assert pace.slots(NOW, 1, None) == Slots(1, NOW, 0)
    for identifier in identifiers:
        assert pace.waits(NOW, identifier) > 0
    assert pace.waits(NOW, "c") == 0


def test_who_is_throttled_again_waits_longer_up_to_a_minute() -> None:
    pace, now = Pace(), NOW
    seconds = []
    for _ in range(9):
        pace, (wait,) = throttled(pace, "a", now=now)
        assert pace.waits(now, "a") == wait
        now += wait
        assert pace.waits(now, "a") == 0
        seconds.append(wait / SECOND)
    assert seconds == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    # A minute after the end of a wait all is forgotten.
    pace, _ = throttled(pace, "other", now=now + 60 * SECOND)
    assert throttled(pace, "a", now=now + 60 * SECOND)[1] == [SECOND]


@given(
    st.lists(st.integers(0, 2 * 86_400 * SECOND) | st.none(), min_size=1, max_size=12),
    st.floats(0, 1),
)
def test_what_the_server_asks_for_is_never_shortened(
    asked: list[int | None], jitter: float
) -> None:
    pace = Pace()
    for retry_after in asked:
        pace, wait = pace.throttle(NOW, NOW, "a", retry_after, jitter, None)
        # But for a day, after which an event would be as good as lost.
        assert wait >= min(retry_after or 0, 86_400 * SECOND)
        assert SECOND <= wait <= 86_401 * SECOND
        assert pace.waits(NOW, "a") == wait


def test_three_shoppers_within_ten_seconds_halve_the_rate_once() -> None:
    pace, _ = throttled(Pace(), "a", now=NOW)
    pace, _ = throttled(pace, "b", now=NOW + 5 * SECOND)
    now = NOW + 9 * SECOND
    pace, (wait,) = throttled(pace, "c", now=now)
    assert (pace.rate, pace.ceiling) == (20_000, 40_000)
    # All of them wait, and start anew.
    assert pace.slots(now, 1, 40).first == now + wait
    assert [pace.waits(now, each) for each in "abc"] == [0, 0, 0]
    # Those that were on their way tell nothing new.
    same, waits = throttled(pace, *"defghij", now=now + SECOND, granted_at=now)
    assert same is pace
    assert waits == [SECOND] * 7
    # Two more are two shoppers, and the third is a cut.
    pace, _ = throttled(pace, "d", "e", now=now + 2 * SECOND)
    assert pace.rate == 20_000
    pace, _ = throttled(pace, "f", now=now + 2 * SECOND)
    assert (pace.rate, pace.ceiling) == (10_000, 40_000)


def test_three_shoppers_within_more_than_ten_seconds_are_three_shoppers() -> None:
    pace = Pace()
    for number, identifier in enumerate("abcdef"):
        pace, _ = throttled(pace, identifier, now=NOW + number * 5 * SECOND)
        assert pace.rate is None


def test_a_rate_that_nobody_set_is_half_of_what_it_was() -> None:
    pace = Pace()
    now = NOW
    for _ in range(20):
        slots = pace.slots(now, 10, None)
        pace = pace.taken(now, slots, 10)
        now += SECOND // 2
    pace, _ = throttled(pace, *"abc", now=now, limit=None)
    assert pace.ceiling == pytest.approx(20_000, rel=0.15)
    assert pace.rate == pace.ceiling // 2
    assert pace.slots(now + SECOND, 1, None).interval > 0


def test_a_rate_that_nobody_knows_is_taken_for_the_vendors_default() -> None:
    pace, _ = throttled(Pace(), *"abc", limit=None)
    assert (pace.rate, pace.ceiling) == (15_000, 30_000)


def test_the_slowest_is_one_call_a_second() -> None:
    pace, now = Pace(), NOW
    for _ in range(10):
        now += SECOND
        pace, _ = throttled(pace, *"abc", now=now)
    assert (pace.rate, pace.ceiling) == (1_000, 40_000)


@given(st.integers(1, 10_000), st.integers(1, 12), st.lists(st.integers(1, 70), max_size=20))
def test_the_rate_climbs_back_step_by_step_within_five_minutes(
    limit: int, cuts: int, looks: list[int]
) -> None:
    pace, now = Pace(), NOW
    for _ in range(cuts):
        now += SECOND
        pace, _ = throttled(pace, *"abc", now=now, limit=limit)
    cut_at = now
    lowest = before = pace.rate
    assert lowest is not None
    for gap in looks:
        now += gap * SECOND
        pace = pace.raised(now)
        if pace.rate is None:
            break
        assert before <= pace.rate <= limit * 1000
        # By a thirtieth for each ten seconds, or by one call a second where that is more.
        steps = (now - cut_at) // (10 * SECOND)
        assert pace.rate == lowest + steps * max(1000, 1000 * limit // 30)
        before = pace.rate
    pace = pace.raised(cut_at + 300 * SECOND)
    assert (pace.rate, pace.ceiling) == (None, 0)


def test_nothing_is_raised_before_ten_seconds_have_passed() -> None:
    pace, _ = throttled(Pace(), *"abc")
    assert pace.raised(NOW + 10 * SECOND - 1) is pace
    assert pace.raised(NOW + 10 * SECOND).rate == 20_000 + 40_000 // 30
    assert Pace().raised(NOW) == Pace()


def test_the_lower_of_both_rates_counts() -> None:
    pace, _ = throttled(Pace(), *"abc", limit=100)
    assert pace.slots(NOW, 1, 20).interval == Pace().slots(NOW, 1, 20).interval
    assert pace.slots(NOW, 1, 100).interval == Pace().slots(NOW, 1, 50).interval


def test_a_hundred_throttled_shoppers_are_remembered_and_those_that_wait_longest() -> None:
    pace = Pace()
    for number in range(150):
        now = NOW + number * 10 * SECOND
        asked = 3_600 * SECOND
        pace, _ = pace.throttle(now, now, f"shopper-{number}", asked, 0.0, None)
    assert len(pace.throttled) == 100
    assert pace.waits(now, "shopper-50") > 0
    assert pace.waits(now, "shopper-49") == 0


def test_how_fast_it_has_been_going_is_measured() -> None:
    pace, now = Pace(), NOW
    for _ in range(13):
        pace = pace.taken(now, Slots(3, now, 0), 3)
        now += SECOND
    assert pace.measured(now) == pytest.approx(3_000, rel=0.1)
    # What was long ago is no rate.
    assert pace.measured(now + 10 * SECOND) == 0
    assert Pace().measured(NOW) == 0
