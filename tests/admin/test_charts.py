"""Charts stay within their frames, and show everything that there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp.admin.charts import HEIGHT, STRIP, TOP, WIDTH, Column, Strip

COUNTS = st.lists(st.integers(0, 10**9), min_size=4, max_size=4)
NAMES = ("delivered", "retried", "rejected", "dropped")
#: Positions are rounded to a tenth, one part after another.
ROUNDING = 0.5


@given(counts=COUNTS, others=st.integers(0, 10**9))
def test_a_strip(counts: list[int], others: int) -> None:
    most = max(sum(counts), others)
    strip = Strip.of(list(zip(NAMES, counts, strict=True)), most, "title")
    assert [part.name for part in strip.parts] == [
        n for n, c in zip(NAMES, counts, strict=True) if c
    ]
    end = 0.0
    for part in strip.parts:
        assert abs(float(part.start) - end) < ROUNDING
        assert float(part.length) > 1
        end = float(part.start) + float(part.length)
    assert end <= STRIP + ROUNDING


@given(counts=COUNTS, others=st.integers(0, 10**9), place=st.integers(0, 24))
def test_a_column(counts: list[int], others: int, place: int) -> None:
    column = Column.of(
        *(place, 25, list(zip(NAMES, counts, strict=True)), max(sum(counts), others)),
        label="",
        title="",
        total=sum(counts),
        when="",
        figures=(),
    )
    assert float(column.x) >= 0
    assert float(column.x) + float(column.width) <= WIDTH
    assert len(column.parts) == sum(1 for count in counts if count)
    for part in column.parts:
        assert float(part.start) >= TOP - ROUNDING
        assert float(part.start) + float(part.length) <= HEIGHT + ROUNDING
