"""
Who writes buffered events and who runs the relay. After each commit that wrote an event the chosen
runner is woken.
"""

from __future__ import annotations

from collections.abc import Callable

from django.utils.module_loading import import_string

from django_moloco_rmp.conf import get_settings
from django_moloco_rmp.outbox import Entry
from django_moloco_rmp.runners import thread

# By path, so that a process loads only the runner it uses. A runner is one function: wake(using).
_WAKE = {"thread": "django_moloco_rmp.runners.thread.wake"}


def wake(using: str) -> None:
    """
    Tell the runner that the settings name of new events; nothing to do if another process runs it.

    :param using: alias of the database whose outbox has them
    """
    path = _WAKE.get(get_settings().relay)
    if path is not None:
        runner: Callable[[str], None] = import_string(path)
        runner(using)


def can_buffer() -> bool:
    """Return whether this process can write buffered events at all."""
    return thread.can_run()


def put(entry: Entry, using: str) -> None:
    """
    Put an entry into the buffer, and have it relayed once it has been written.

    :param using: alias of the database whose outbox it goes to
    """
    thread.put(entry, using, relays=get_settings().relay == "thread")
