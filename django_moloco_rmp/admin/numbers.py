"""Numbers, as people write them."""

from __future__ import annotations

from django.utils import formats
from django.utils.translation import gettext

from django_moloco_rmp.backlog import Count


def number(value: float, digits: int = 0) -> str:
    """Return a number for a person."""
    return formats.number_format(value, digits, force_grouping=True)


def counted(count: Count) -> str:
    """Return a count that may have ended at a limit."""
    text = number(count.number)
    return gettext("more than %s") % text if count.is_more else text
