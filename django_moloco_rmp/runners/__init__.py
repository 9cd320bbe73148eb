"""Who runs the relay. After each commit that wrote an event, the chosen runner is woken."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.module_loading import import_string

from django_moloco_rmp.conf import get_settings

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
