"""Shopper events from a Django shop to Moloco's Retail Media Platform."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

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
        return version("django-moloco-rmp")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
