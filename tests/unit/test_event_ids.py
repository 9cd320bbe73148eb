from __future__ import annotations

from itertools import pairwise
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_moloco_rmp.event_ids import new_event_id, require_event_id
from django_moloco_rmp.exceptions import InvalidEventError

MOMENTS = st.integers(0, 2**48 - 1)


def test_event_id_of_the_standards_own_example() -> None:
    # RFC 9562, appendix A.6.
    assert (
        new_event_id(0x017F22E279B0, 0xCC3 << 62 | 0x18C4DC0C0C07398F)
        == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    )


@given(MOMENTS, st.integers(0, 2**74 - 1))
def test_event_id_is_a_uuid_of_version_7(moment: int, bits: int) -> None:
    uuid = UUID(new_event_id(moment, bits))
    assert (uuid.version, uuid.variant) == (7, RFC_4122)
    assert uuid.int >> 80 == moment


@given(MOMENTS, MOMENTS)
def test_event_ids_sort_by_time(one: int, other: int) -> None:
    early, late = sorted([one, other])
    assert new_event_id(early, 0) <= new_event_id(late, 2**74 - 1)


def test_event_ids_of_one_moment_differ() -> None:
    ids = sorted(new_event_id(1_800_000_000_000) for _ in range(100))
    assert all(one != other for one, other in pairwise(ids))


@pytest.mark.parametrize("value", ["order-17", "x" * 128, "é", "a b"])
def test_callers_own_id(value: str) -> None:
    assert require_event_id(value) == value


@pytest.mark.parametrize("value", [None, "", "  "])
def test_missing_id_is_refused(value: str | None) -> None:
    with pytest.raises(InvalidEventError, match="is missing") as caught:
        require_event_id(value)
    assert caught.value.field == "id"
    assert "new_event_id" in caught.value.fix


def test_long_id_is_refused() -> None:
    with pytest.raises(InvalidEventError, match="129 characters") as caught:
        require_event_id("x" * 129)
    assert caught.value.field == "id"


@pytest.mark.parametrize("value", [" a", "a ", "a\n", "a\x00b", "a\udcff"])
def test_unclean_id_is_refused(value: str) -> None:
    with pytest.raises(InvalidEventError, match="white space") as caught:
        require_event_id(value)
    assert (caught.value.field, caught.value.fix) == ("id", "Pass it without them.")


def test_number_for_an_id_is_refused() -> None:
    value: Any = 17
    with pytest.raises(InvalidEventError, match="int"):
        require_event_id(value)
