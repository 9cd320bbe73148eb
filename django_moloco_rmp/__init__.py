"""
Shopper events from a Django shop to Moloco's Retail Media Platform.

The names are imported when they are first used: ``python -m django_moloco_rmp.sandbox`` needs
nothing but Python, and an import before ``django.setup()`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_moloco_rmp.events import (
        ChannelType,
        Device,
        Event,
        EventType,
        Item,
        Money,
        PersonalizationMode,
        as_item,
    )
    from django_moloco_rmp.exceptions import (
        APIError,
        BadRequestError,
        DeliveryError,
        ForbiddenError,
        InternalServerError,
        InvalidEventError,
        MethodNotAllowedError,
        MolocoError,
        NetworkError,
        NotFoundError,
        TooManyRequestsError,
        UnauthorizedError,
        UnknownError,
    )
    from django_moloco_rmp.tracking import (
        atrack,
        track,
        track_add_to_cart,
        track_add_to_wishlist,
        track_home,
        track_item_page_view,
        track_land,
        track_page_view,
        track_purchase,
        track_search,
    )

__all__ = [
    "APIError",
    "BadRequestError",
    "ChannelType",
    "DeliveryError",
    "Device",
    "Event",
    "EventType",
    "ForbiddenError",
    "InternalServerError",
    "InvalidEventError",
    "Item",
    "MethodNotAllowedError",
    "MolocoError",
    "Money",
    "NetworkError",
    "NotFoundError",
    "PersonalizationMode",
    "TooManyRequestsError",
    "UnauthorizedError",
    "UnknownError",
    "as_item",
    "atrack",
    "track",
    "track_add_to_cart",
    "track_add_to_wishlist",
    "track_home",
    "track_item_page_view",
    "track_land",
    "track_page_view",
    "track_purchase",
    "track_search",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("django-moloco-rmp")
    if name in __all__:
        # From the least module that has it: who wants an error needs no Django.
        modules = (f"{__name__}.{module}" for module in ("exceptions", "events", "tracking"))
        found = next(names for names in map(vars, map(import_module, modules)) if name in names)
        return globals().setdefault(name, found[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
