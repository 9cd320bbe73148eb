"""What somebody without the permission for bodies gets to see in place of what names a shopper."""

from __future__ import annotations

import json
import re
from typing import Any

from django.utils.translation import gettext

PERMISSION = "moloco_rmp.view_event_body"
MASK = "•••"
# What a keyed hash, a session key or a UUID looks like within a message.
_TOKEN = re.compile(r"[0-9A-Za-z_-]{20,}")
_IDENTIFIERS = frozenset(
    {
        *("user_id", "custom_id", "session_id", "decision_track_id"),
        *("persistent_id", "unique_device_id", "advertising_id", "ip", "ua"),
    }
)


def may_see_bodies(request: Any) -> bool:
    """Return whether a request's user may see bodies and identifiers."""
    return bool(request.user.has_perm(PERMISSION))


def masked_message(message: str) -> str:
    """Return a message without whatever may be an identifier in it."""
    return _TOKEN.sub(lambda token: MASK if _has_digit(token[0]) else token[0], message)


def _has_digit(text: str) -> bool:
    return any(char.isdigit() for char in text)


def masked_body(body: str) -> str:
    """Return a body whose identifiers are masked, as compact JSON; nothing of one that is none."""
    try:
        data = json.loads(body)
        return json.dumps(_masked(data), separators=(",", ":"))
    except (ValueError, RecursionError):
        return gettext("(no JSON, %(length)d characters)") % {"length": len(body)}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: MASK if key in _IDENTIFIERS and each is not None else _masked(each)
            for key, each in value.items()
        }
    return [_masked(each) for each in value] if isinstance(value, list) else value
