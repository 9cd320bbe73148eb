"""Turns the signals that a shop fires into events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.dispatch import Signal

from django_moloco_rmp import signals
from django_moloco_rmp.events import EventType
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.tracking import guard, track

_FIRED: tuple[tuple[Signal, EventType], ...] = (
    (signals.item_page_viewed, EventType.ITEM_PAGE_VIEW),
    (signals.added_to_cart, EventType.ADD_TO_CART),
    (signals.added_to_wishlist, EventType.ADD_TO_WISHLIST),
    (signals.purchased, EventType.PURCHASE),
    (signals.searched, EventType.SEARCH),
)


def connect() -> None:
    """Connect all receivers; again is harmless."""
    for signal, event_type in _FIRED:
        signal.connect(_receiver(event_type), weak=False, dispatch_uid=(__name__, event_type))
    signals.mapped.connect(_track_mapped, dispatch_uid=__name__)


def _receiver(event_type: EventType) -> Callable[..., None]:
    def receiver(sender: Any, signal: Signal, **arguments: Any) -> None:
        with guard(event_type):
            track(event_type, **arguments)

    return receiver


def _track_mapped(
    sender: EventType,
    mapper: signals.Mapper,
    arguments: Mapping[str, Any],
    **_: Any,
) -> None:
    with guard(sender):
        keywords = _keywords(mapper, arguments)
        if keywords is not None:
            track(sender, **keywords)


def _keywords(mapper: signals.Mapper, arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        return mapper(**arguments)
    except Exception as error:
        raise InvalidEventError(
            "mapper",
            f"failed with {type(error).__name__}",
            "Mend the function given to connect(); it gets what the signal was sent with.",
        ) from error
