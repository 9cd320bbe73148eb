"""The list of the contract's cases is whole, and agrees with the schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract_schema import problems
from tests.contract_vectors import CASES, CONTRACT, contract_cases


def test_the_list_is_whole() -> None:
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names)) == 84
    assert {case["body"].get("event_type") for case in CASES} >= {
        *("HOME", "LAND", "PAGE_VIEW", "SEARCH"),
        *("ITEM_PAGE_VIEW", "ADD_TO_CART", "ADD_TO_WISHLIST", "PURCHASE"),
    }


@pytest.mark.parametrize("case", contract_cases())
def test_the_schema_agrees(case: dict[str, Any]) -> None:
    assert bool(problems(case["body"])) is (case["status"] == 400 and not case.get("clock", False))


# Not a skip where there is none: a clone has all it needs.
if CONTRACT.exists():

    def test_the_list_is_the_contracts() -> None:
        found = json.loads(CONTRACT.read_text(encoding="utf-8"))
        assert [
            (
                case["name"],
                case["body"],
                case["expect"]["status"],
                case["expect"].get("message"),
                case["basis"] == "strict",
                case["layer"] == "runtime",
            )
            for case in found
        ] == [
            (
                case["name"],
                case["body"],
                case["status"],
                case.get("message"),
                case.get("strict", False),
                case.get("clock", False),
            )
            for case in CASES
        ]
