"""The bodies of vectors.json, and of another such list if one lies beside a checkout."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "contract" / "vectors.json"

OWN = json.loads((HERE / "vectors.json").read_text(encoding="utf-8"))
#: The moment at which OWN is judged, in milliseconds.
NOW: int = OWN["now"]


def own_body(case: dict[str, Any]) -> Any:
    body = deepcopy(OWN["bodies"][case["body"]])
    for path, value in case.get("set", {}).items():
        parent, key = _place(body, path)
        parent[key] = value
    for path in case.get("drop", ()):
        parent, key = _place(body, path)
        del parent[key]
    return body


def own_cases() -> list[Any]:
    return [pytest.param(case, id=case["case"]) for case in OWN["cases"]]


def shared_cases() -> list[Any]:
    if not SHARED.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason="no such list beside this one"))]
    cases = json.loads(SHARED.read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in cases]


def _place(body: Any, path: str) -> tuple[Any, Any]:
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
    for key in parents:
        body = body[key]
    return body, last
