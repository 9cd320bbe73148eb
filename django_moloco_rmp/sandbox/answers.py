"""An HTTP answer of the sandbox, and the vendor's form of an error."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

#: What ``code`` says in an error body: gRPC's number for the HTTP status, as gRPC gateways map it.
GRPC_CODES = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    405: 12,  # UNIMPLEMENTED
    413: 8,  # RESOURCE_EXHAUSTED
    429: 8,  # RESOURCE_EXHAUSTED
    500: 13,  # INTERNAL
    501: 12,  # UNIMPLEMENTED
    503: 14,  # UNAVAILABLE
    504: 4,  # DEADLINE_EXCEEDED
}
_UNKNOWN = 2
#: What the vendor's server says when it throttles.
#: Source: https://mcm-docs.moloco.com/docs/user-event-api-error-categories.
THROTTLED = "request denied by throttler, try again later"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers, ready to be written."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(value: Any, status: int = 200) -> Answer:
    """
    Return an answer whose body is ``value`` as JSON, in ASCII.

    :raises ValueError: a float in it is not finite, which JSON has no word for
    """
    return Answer(status, json.dumps(value, allow_nan=False).encode())


def error_answer(status: int, message: str, **headers: str) -> Answer:
    """
    Return an error as the vendor writes it: a gRPC code, a message and an empty list of details.

    Underscores in the names of ``headers`` stand for hyphens.
    Source: https://mcm-docs.moloco.com/docs/user-event-api-error-categories.
    """
    body = {"code": GRPC_CODES.get(status, _UNKNOWN), "message": message, "details": []}
    return Answer(
        status,
        json.dumps(body).encode(),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
