"""
Captures: while a test looks at events, it needs no database for them.

``SimpleTestCase`` forbids the database, and so does pytest-django to tests without its mark. What
such a test reports is remembered here instead of in the outbox, as long as a capture is open.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from django.db import connections

_lock = threading.Lock()
_open = 0
_known: set[tuple[str, str, str]] = set()


@contextmanager
def capturing() -> Generator[None]:
    """Keep a capture open, in all threads of the process; captures may be nested."""
    global _open  # noqa: PLW0603
    with _lock:
        _open += 1
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if not _open:
                _known.clear()


def replaces_outbox(using: str) -> bool:
    """Return whether a capture is open in a test that forbids a database."""
    if not _open:
        return False
    try:
        # Opens a cursor and asks nothing of it.
        connections[using].cursor().close()
    except (AssertionError, RuntimeError):
        # Django's answer where it is forbidden, and pytest-django's. All that can go wrong with a
        # database that is allowed is an error of another kind.
        return True
    return False


def record(event_id: str, destination: str, using: str) -> bool:
    """
    Remember the id of a destination's event in place of the outbox of a database.

    :return: False if it is known already
    """
    with _lock:
        key = (using, destination, event_id)
        is_new = key not in _known
        _known.add(key)
    return is_new
