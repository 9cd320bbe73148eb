"""The cases of contract_vectors.json: request bodies, and what the API answers to each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
#: Where the contract that the list was written from may lie beside a checkout.
CONTRACT = HERE.parents[1] / "shared" / "contract" / "vectors.json"

CASES: list[dict[str, Any]] = json.loads(
    (HERE / "contract_vectors.json").read_text(encoding="utf-8")
)["cases"]


def contract_cases(status: int | None = None) -> list[Any]:
    """All cases as parameters, or those of one status."""
    return [
        pytest.param(case, id=case["name"])
        for case in CASES
        if status is None or case["status"] == status
    ]
