"""Event ids: one per event, kept when it is sent again, so that the API can tell repeats."""

from __future__ import annotations

import secrets

from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.text import MAX_ID_LENGTH, optional_text


def new_event_id(now_ms: int, random_bits: int | None = None) -> str:
    """
    Return a new event id: a UUID of version 7 (RFC 9562), which sorts by time.

    :param now_ms: milliseconds since the epoch
    :param random_bits: the 74 random bits; drawn from the system's secure source by default
    """
    bits = secrets.randbits(74) if random_bits is None else random_bits
    high, low = (bits >> 62) & 0xFFF, bits & (1 << 62) - 1
    value = (now_ms & (1 << 48) - 1) << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def require_event_id(value: object) -> str:
    """
    Return ``value`` if it can be an event id: not blank, at most 128 characters, and clean.

    :raises InvalidEventError: it cannot
    """
    text = optional_text("id", value, limit=MAX_ID_LENGTH)
    if text is None:
        raise InvalidEventError("id", "is missing", "Pass new_event_id(now_ms), or a stable id.")
    # Unlike other texts an id is not repaired: the caller compares it with its own.
    if text != value or text != text.strip():
        raise InvalidEventError(
            "id",
            "has white space around it, or control characters in it",
            "Pass it without them.",
        )
    return text
