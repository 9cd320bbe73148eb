"""The words the API knows for what happened, where, and what it may be used for."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from django_moloco_rmp.exceptions import InvalidEventError

_Choice = TypeVar("_Choice", bound=StrEnum)


class EventType(StrEnum):
    """What the shopper did."""

    HOME = "HOME"
    LAND = "LAND"
    PAGE_VIEW = "PAGE_VIEW"
    SEARCH = "SEARCH"
    ITEM_PAGE_VIEW = "ITEM_PAGE_VIEW"
    ADD_TO_CART = "ADD_TO_CART"
    ADD_TO_WISHLIST = "ADD_TO_WISHLIST"
    PURCHASE = "PURCHASE"


class ChannelType(StrEnum):
    """Where the shopper did it. SITE is right for any website."""

    APP = "APP"
    SITE = "SITE"
    DESKTOP_SITE = "DESKTOP_SITE"
    MOBILE_SITE = "MOBILE_SITE"


class PersonalizationMode(StrEnum):
    """What the event may be used for: everything, metrics only, or without identification."""

    STANDARD = "STANDARD"
    METRIC_ONLY = "METRIC_ONLY"
    ID_LESS = "ID_LESS"


def choice(name: str, choices: type[_Choice], value: Any) -> _Choice:
    """
    Return the member of ``choices`` that ``value`` is, or is the text of.

    :param name: path of the value, for the error
    :raises InvalidEventError: there is no such member
    """
    # A member already, as nearly always: an enumeration takes longer to look it up.
    if type(value) is choices:
        return value
    try:
        return choices(value)
    except ValueError:
        raise InvalidEventError(
            name, f"must be one of {', '.join(choices)}", f"Use {choices.__name__}."
        ) from None
