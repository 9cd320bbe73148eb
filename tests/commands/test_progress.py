from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from django_moloco_rmp.progress import Progress


class Clock:
    """Each look takes a tenth of a second, or what is set."""

    def __init__(self, step: float) -> None:
        self._moments: Iterator[float] = (number * step for number in itertools.count())

    def __call__(self) -> float:
        return next(self._moments)


def said(*steps: int, total: int, is_terminal: bool, step: float) -> str:
    text: list[str] = []
    with Progress(
        text.append, "Working", total, is_terminal=is_terminal, clock=Clock(step)
    ) as progress:
        assert progress.follow(steps) == sum(steps)
    return "".join(text)


def test_plain_lines_come_now_and_then() -> None:
    assert said(*[1000] * 12, total=12_000, is_terminal=False, step=1) == (
        "Working: 5,000 of 12,000 (42%)\nWorking: 10,000 of 12,000 (83%)\n"
    )


@pytest.mark.parametrize("is_terminal", [True, False])
def test_short_work_is_done_in_silence(is_terminal: bool) -> None:
    assert said(1, 1, total=2, is_terminal=is_terminal, step=0.01) == ""


def test_a_bar_is_drawn_over_itself_and_taken_away() -> None:
    first, second, last = said(2, 2, total=4, is_terminal=True, step=1).split("\r")[1:4]
    assert first == f"Working [{'#' * 15}{'.' * 15}]  50%  2 of 4"
    assert second == f"Working [{'#' * 30}] 100%  4 of 4"
    assert last == " " * len(second)


def test_more_than_was_counted() -> None:
    assert said(3, total=2, is_terminal=False, step=9) == "Working: 3 of 3 (100%)\n"


def test_nothing_was_counted() -> None:
    assert said(1, total=0, is_terminal=False, step=9) == "Working: 1 of 1 (100%)\n"
