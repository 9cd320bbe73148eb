"""The bodies of vectors.json: what the sandbox says, word for word."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent

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


def _place(body: Any, path: str) -> tuple[Any, Any]:
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
    for key in parents:
        body = body[key]
    return body, last
