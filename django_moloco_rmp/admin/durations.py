"""Spans of time in words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext, ngettext

_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - only differences are shown
_MINUTE = 60


def span(seconds: float) -> str:
    """Return a span in words, such as ``2 hours, 5 minutes``."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return ngettext("%(count)d second", "%(count)d seconds", whole) % {"count": whole}
    return timesince(_EPOCH, _EPOCH + timedelta(seconds=whole))


def ago(seconds: float | None) -> str:
    """Return when something was, such as ``5 minutes ago``; ``never`` for None."""
    if seconds is None:
        return gettext("never")
    if seconds < 1:
        return gettext("just now")
    return gettext("%(span)s ago") % {"span": span(seconds)}


def moment(seconds: float) -> Any:
    """Return the moment so many seconds ago, as templates show it: in the current time zone."""
    return timezone.localtime() - timedelta(seconds=seconds)
