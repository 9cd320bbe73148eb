"""Kept events as JSON lines, in the format of ``manage.py moloco_export``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from django_moloco_rmp.backlog import Backlog, Kept


def lines(using: str, keys: Sequence[int]) -> Iterator[str]:
    """
    Yield a line for each event that is still kept, a batch of them at a time in memory.

    :param using: the database's alias
    """
    for kept in Backlog(using).kept(keys):
        yield _line(kept)


def _line(kept: Kept) -> str:
    about = {
        "event_id": kept.event_id,
        "event_type": kept.event_type,
        "destination": kept.destination,
        "state": kept.state,
        "attempts": kept.attempts,
        "last_status": kept.last_status,
        "last_error": kept.last_error,
        "created_at": kept.created_at.isoformat(),
    }
    # Not parsed, which could change an amount of money; unless it is no JSON at all.
    body = kept.payload if _is_json(kept.payload) else json.dumps(kept.payload)
    return f'{json.dumps(about)[:-1]}, "body": {body}}}\n'


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return "\n" not in text
