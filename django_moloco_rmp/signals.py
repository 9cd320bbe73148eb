"""
Signals of two kinds: those a shop fires, and those it listens to.

To fire, with exactly the keywords of :func:`django_moloco_rmp.track` (each may pass ``request``)::

    added_to_cart.send(sender=Cart, items=[line], request=request)

To hook a signal that the shop already has, see :func:`connect`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.dispatch import Signal

from django_moloco_rmp.choices import EventType

#: To fire when a shopper looks at a product's page: ITEM_PAGE_VIEW.
item_page_viewed = Signal()
#: To fire when something is put into the cart: ADD_TO_CART.
added_to_cart = Signal()
#: To fire when something is put on the wish list: ADD_TO_WISHLIST.
added_to_wishlist = Signal()
#: To fire when an order is paid, in its transaction: PURCHASE.
purchased = Signal()
#: To fire when a shopper searches: SEARCH.
searched = Signal()

#: An event has been reported: it is in the outbox, as part of the caller's transaction, or will be
#: in the buffer once that is committed. It may still be rolled back. Arguments: ``event`` (Event),
#: ``destination`` (its name), ``using`` (database alias), ``seconds`` (float, that track() took).
#: The sender is the EventType.
event_recorded = Signal()
#: An event was accepted by the API. Arguments: ``event_id``, ``destination`` (its name). The sender
#: is the event type as str.
event_delivered = Signal()
#: An event was refused for good and is kept. Arguments: ``event_id``, ``destination`` (its name),
#: ``status`` (HTTP), ``message`` (the vendor's). The sender is the event type as str.
event_rejected = Signal()
#: An event was not recorded. Arguments: ``reason`` (``invalid``, ``consent``, ``unidentified``,
#: ``bot``, ``prefetch``, ``head``, ``disabled``, ``database``, ``configuration``, ``async``,
#: ``overflow``, ``exit``, ``error``, or ``discarded`` for one that was, until an operator discarded
#: it), ``detail`` (a text without identifiers), ``seconds`` (float, that track() took; 0 if it was
#: dropped later). The sender is the event type as it was given, None if that is no text.
event_dropped = Signal()
#: A destination's circuit changed. Arguments: ``state`` and ``previous`` (``closed``, ``backoff``,
#: ``open`` or ``paused``), ``reason`` (``server``, ``configuration``, ``rejections`` or blank). The
#: sender is the destination's name. Sent by the process that noticed, after it was written down.
circuit_changed = Signal()

#: One post to the API has come to its end. Arguments: ``destination`` (its name), ``seconds`` that
#: it took, ``error`` (the DeliveryError, None if the event was accepted). The sender is the event
#: type as str. Sent by a thread that only posts: a receiver has to be quick, and must not use the
#: database.
event_posted = Signal()

#: What :func:`connect` makes of a shop's own signal. Arguments: ``mapper``, ``arguments``.
mapped = Signal()

Mapper = Callable[..., Mapping[str, Any] | None]


def connect(signal: Signal, event_type: EventType | str, mapper: Mapper) -> None:
    """
    Report an event whenever one of the shop's own signals is sent.

    :param signal: any Django signal
    :param event_type: type of the event
    :param mapper: called as ``mapper(sender, **arguments_of_the_signal)``; returns the keywords
        for :func:`django_moloco_rmp.track`, or None when this one is no event

    An error in the mapper is treated as an invalid event: it never reaches the sender in
    production. Connecting the same signal, type and mapper again changes nothing.
    """
    # Looked up here, so that a wrong type is an error at start and not at the first sale.
    kind = EventType(event_type)

    def receiver(sender: Any, **arguments: Any) -> None:
        arguments.pop("signal", None)
        mapped.send(sender=kind, mapper=mapper, arguments={"sender": sender, **arguments})

    signal.connect(receiver, weak=False, dispatch_uid=(__name__, kind, mapper))
