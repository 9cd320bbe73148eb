"""
Who writes buffered events and who runs the relay. After each commit that wrote an event the chosen
runner is woken.
"""

from __future__ import annotations

from contextlib import suppress

from django.utils.module_loading import import_string

from django_moloco_rmp.conf import get_settings, is_switched_off, named_relay
from django_moloco_rmp.outbox import Entry
from django_moloco_rmp.runners import thread


def prepare() -> None:
    """Have the chosen runner see to what only the main thread knows, when Django starts there."""
    # What is missing is for the checks to tell.
    with suppress(ImportError):
        if named_relay() == "celery":
            import_string("django_moloco_rmp.runners.celery.adopt")()


def warm_up() -> None:
    """Import what the chosen runner takes, where it may run, so that no request waits for it."""
    if not (thread.in_test_run() or thread.is_threadless() or is_switched_off()):
        thread.load()


def wake(using: str, destination: str | None = None) -> None:
    """
    Tell the runner that the settings name of new events; nothing to do if another process runs it.

    :param using: alias of the database whose outbox has them
    :param destination: the name of where they go; None if that may be anywhere
    """
    if get_settings().relay in thread.RUNNERS:
        thread.wake(using, destination)


def can_buffer() -> bool:
    """Return whether this process can write buffered events at all."""
    return thread.can_run()


def put(entry: Entry, using: str) -> None:
    """
    Put an entry into the buffer, and have the runner woken once it has been written.

    :param using: alias of the database whose outbox it goes to
    """
    thread.put(entry, using, wakes=get_settings().relay in thread.RUNNERS)
