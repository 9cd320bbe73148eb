"""JSON bodies, made readable."""

from __future__ import annotations

import json


def pretty(body: str) -> tuple[str, bool]:
    """
    Return a body with one line for each value, and True; or as it is, and False, if it is no JSON.

    What no page can be encoded with, such as half a surrogate pair, is escaped as in JSON.
    """
    try:
        data = json.loads(body)
        text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return _encodable(body), False
    return _encodable(text), True


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
