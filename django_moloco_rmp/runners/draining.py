"""What a task does: run the relays until nothing is due, for a limited time."""

from __future__ import annotations

import time

from django_moloco_rmp import runners
from django_moloco_rmp.conf import get_settings
from django_moloco_rmp.fleet import fleet_from_settings
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.outbox import Outbox, default_alias
from django_moloco_rmp.relay import SEEN_SECONDS

#: Seconds after which a task makes room for others, and has another one go on.
SECONDS = 30.0
#: Seconds that it may then take to finish what is being sent.
DRAIN_SECONDS = 20.0
#: Seconds that a task takes at most, and a generous bit.
LIMIT = 75
#: Seconds after which a nudge that no worker has taken is dropped. By the worker's clock, which may
#: be minutes ahead of that of the shop.
EXPIRES = 1800


def drain_outbox(using: str | None, *, seconds: float = SECONDS) -> None:
    """
    Send what is due in one outbox, and be called again if there was too much of it.

    :param using: the database's alias; None for where events go
    :param seconds: after which nothing more is begun
    :raises ImproperlyConfigured: the settings are at fault
    :raises django.db.Error: the database failed; the events stay as they are
    """
    alias = using or default_alias()
    settings = get_settings()
    if not settings.enabled:
        return
    if not any(_is_called_for(alias, name) for name in settings.destinations):
        return
    started = time.monotonic()
    # Of all: what comes in for others meanwhile must not wait for those that are slow.
    fleet_from_settings(alias, drain_seconds=DRAIN_SECONDS).run(until_empty=True, seconds=seconds)
    if time.monotonic() - started >= seconds:
        runners.wake(alias)


def _is_called_for(using: str, destination: str) -> bool:
    """Return whether anything is due, or it is time for a sign of life: most nudges come late."""
    is_due = Outbox(using, destination).has_due()
    return is_due or not Gate(using, destination).has_been_seen(SEEN_SECONDS)
