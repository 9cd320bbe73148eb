"""
:func:`track`, the one door: everything that reports an event goes through it.

It does no network I/O and, unless RAISE_ERRORS is set, raises nothing into a view.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.db import DatabaseError, InterfaceError, connections, transaction
from django.http import HttpRequest

from django_moloco_rmp import captures, runners, signals
from django_moloco_rmp.choices import choice
from django_moloco_rmp.conf import Destination, Settings, get_settings, raises_errors
from django_moloco_rmp.destinations import named, usual
from django_moloco_rmp.events import (
    ChannelType,
    Event,
    EventType,
    Item,
    Money,
    PersonalizationMode,
    as_items,
    new_event_id,
    total,
)
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.items import priced
from django_moloco_rmp.outbox import Entry, Outbox, default_alias
from django_moloco_rmp.shopper import Shopper, Snapshot, current_shopper

logger = logging.getLogger("django_moloco_rmp")

Amount = Money | Decimal | int | str
_MAX_QUERY = 1000


def track(
    event_type: EventType | str,
    items: Any = (),
    *,
    revenue: Amount | None = None,
    shipping_charge: Amount | None = None,
    search_query: str | None = None,
    page_id: str | None = None,
    referrer_page_id: str | None = None,
    decision_track_id: str | None = None,
    event_id: str | None = None,
    timestamp: datetime | int | None = None,
    request: HttpRequest | None = None,
    shopper: Mapping[str, str] | Shopper | None = None,
    destination: str | None = None,
    using: str | None = None,
) -> str | None:
    """
    Report one event: it is written to the outbox in the caller's transaction, and sent after.

    An event of a type in BUFFERED, and without an id of the shop's, waits for the commit in memory
    instead and is written a moment after it, by a thread in the background.

    :param items: one object or an iterable of them; anything that has an adapter, see ``as_item``
    :param revenue: Money, or an amount in DEFAULT_CURRENCY; for PURCHASE the sum of price times
        quantity if it is left out
    :param shipping_charge: Money, or an amount in DEFAULT_CURRENCY
    :param page_id: the current page by default
    :param referrer_page_id: the page the shopper came from by default
    :param decision_track_id: ``track_id`` of the Decision API result that led here
    :param event_id: a deterministic id, as in ``f"order-{order.pk}"``, makes a second call for the
        same destination a no-op; a new id by default
    :param timestamp: when it happened, if not now: an aware datetime, or milliseconds since the
        epoch
    :param request: found by itself inside a request
    :param shopper: what ``request.moloco.freeze()`` returned, where there is no request
    :param destination: name of the one in DESTINATIONS; by default what the settings have for the
        request, or what was kept with the shopper
    :param using: database alias of the transaction to join
    :return: the event's id; None if nothing was emitted
    :raises InvalidEventError: something is invalid, and RAISE_ERRORS is set
    """
    started = time.perf_counter()
    with guard(event_type):
        settings = get_settings()
        if not settings.enabled:
            return None
        cannot_wait = in_event_loop()
        if cannot_wait:
            _object_to_event_loop(settings)
        source = shopper if shopper is not None else _shopper_of(request)
        if isinstance(source, Shopper):
            snapshot = source.snapshot(cannot_wait=cannot_wait)
        else:
            snapshot = Snapshot.thaw(source)
        if snapshot.dropped is not None:
            _drop(event_type, snapshot.dropped, "", started)
            return None
        now = time.time_ns() // 1_000_000
        target = _target(destination, source, snapshot, settings)
        event = _event(
            event_type,
            snapshot,
            target,
            now,
            items=items,
            revenue=revenue,
            shipping_charge=shipping_charge,
            search_query=search_query,
            page_id=page_id,
            referrer_page_id=referrer_page_id,
            decision_track_id=decision_track_id,
            event_id=event_id,
            timestamp=timestamp,
            domain=target.domain if destination is not None else snapshot.domain or target.domain,
        )
        alias = _alias(using)
        keeps_id = event_id is not None
        if cannot_wait:
            runners.put(Entry.of(event, keeps_id=keeps_id, destination=target.name), alias)
        elif not keeps_id and _may_buffer(event, alias, settings):
            _buffer_after_commit(Entry.of(event, destination=target.name), alias)
        elif captures.replaces_outbox(alias):
            if not captures.record(event.id, target.name, alias):
                return None
        elif Outbox(alias, target.name).record(event, keeps_id=keeps_id):
            _wake_after_commit(alias, target.name)
        else:
            return None
        if isinstance(source, Shopper):
            source.emitted()
        signals.event_recorded.send_robust(
            event.event_type,
            event=event,
            destination=target.name,
            using=alias,
            seconds=time.perf_counter() - started,
        )
        return event.id


async def atrack(event_type: EventType | str, items: Any = (), **keywords: Any) -> str | None:
    """:func:`track` for async code, with the same arguments."""
    return await sync_to_async(track)(event_type, items, **keywords)


@contextmanager
def guard(event_type: object) -> Generator[None]:
    """Keep a failure of tracking from the page: log and signal it, or raise if RAISE_ERRORS."""
    started = time.perf_counter()
    try:
        yield
    except Exception as error:
        if raises_errors():
            raise
        reason = _reason(error)
        name = event_type if isinstance(event_type, str) else type(event_type).__name__
        extra = {"event_type": name, "reason": reason}
        if isinstance(error, InvalidEventError | SynchronousOnlyOperation | ImproperlyConfigured):
            logger.error("Event dropped (%s, %s): %s", name, reason, error, extra=extra)
        else:
            logger.exception("Event dropped (%s, %s)", name, reason, extra=extra)
        _drop(event_type, reason, str(error), started)


def _reason(error: Exception) -> str:
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (InvalidEventError, "invalid"),
        (DatabaseError, "database"),
        (InterfaceError, "database"),
        (ImproperlyConfigured, "configuration"),
        (SynchronousOnlyOperation, "async"),
    )
    return next((reason for kind, reason in reasons if isinstance(error, kind)), "error")


def _drop(event_type: object, reason: str, detail: str, started: float) -> None:
    # A sender has to be hashable, or the dispatcher itself fails.
    sender = event_type if isinstance(event_type, str) else None
    seconds = time.perf_counter() - started
    signals.event_dropped.send_robust(sender, reason=reason, detail=detail, seconds=seconds)


def in_event_loop() -> bool:
    """Return whether this thread runs an event loop, in which nothing may wait for a database."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _object_to_event_loop(settings: Settings) -> None:
    if settings.raise_errors or not runners.can_buffer():
        raise SynchronousOnlyOperation(
            "track() writes to the database and cannot do so inside a running event loop: "
            "use await atrack(...) instead, or await signal.asend(...)."
        )
    _warn_of_event_loop()


@cache
def _warn_of_event_loop() -> None:
    # Once in a process: it is the same line of the shop's code time and again.
    logger.warning(
        "track() was called inside a running event loop: the event is written a moment later, not "
        "in a transaction, and without the user's id if that has to be looked up. Use await "
        "atrack(...) instead, or await signal.asend(...).",
        extra={"reason": "async"},
        stack_info=True,
    )


def _may_buffer(event: Event, alias: str, settings: Settings) -> bool:
    return (
        event.event_type in settings.buffered
        and not _commits_by_hand(alias)
        and runners.can_buffer()
    )


def _commits_by_hand(alias: str) -> bool:
    connection = connections[alias]
    if connection.in_atomic_block:
        return False
    # Not get_autocommit(), which would connect: a page may have had no need of the database.
    is_open = connection.connection is not None
    return not (connection.autocommit if is_open else connection.settings_dict["AUTOCOMMIT"])


def _buffer_after_commit(entry: Entry, alias: str) -> None:
    put = partial(runners.put, entry, alias)
    if connections[alias].in_atomic_block:
        transaction.on_commit(put, using=alias, robust=True)
    else:
        put()


def _shopper_of(request: HttpRequest | None) -> Shopper:
    # Django REST framework's request wraps the one that the middleware saw.
    found = current_shopper() if request is None else getattr(request, "moloco", None)
    if not isinstance(found, Shopper):
        raise InvalidEventError(
            "shopper",
            "there is no request that the middleware has seen",
            "Pass request= inside of a request (with MolocoMiddleware in MIDDLEWARE), or "
            "shopper=order.shopper, kept from request.moloco.freeze().",
        )
    return found


def _alias(using: str | None) -> str:
    if not using:
        return default_alias()
    if using not in connections:
        raise InvalidEventError(
            "using", "is no alias in DATABASES", f"Use one of {', '.join(connections)}."
        )
    return using


def _wake_after_commit(alias: str, destination: str) -> None:
    wake = partial(runners.wake, alias, destination)
    if _commits_by_hand(alias):
        # Django tells nobody when; the relay looks again by itself, workers by their timetable.
        wake()
    else:
        transaction.on_commit(wake, using=alias, robust=True)


def _target(
    name: str | None, source: object, snapshot: Snapshot, settings: Settings
) -> Destination:
    if name is not None:
        return named(settings, name)
    if isinstance(source, Shopper):
        found = source.destination()
    elif snapshot.destination is not None:
        found = named(settings, snapshot.destination)
    else:
        found = usual(settings)
    if found is None:
        raise InvalidEventError(
            "destination",
            "is not given, and neither the request nor the settings tell",
            f"Pass destination=, one of {', '.join(settings.destinations)}, or name one in "
            "MOLOCO_RMP['DESTINATION'].",
        )
    return found


def _event(
    event_type: EventType | str,
    snapshot: Snapshot,
    destination: Destination,
    now: int,
    *,
    items: Any,
    revenue: Amount | None,
    shipping_charge: Amount | None,
    event_id: str | None,
    timestamp: datetime | int | None,
    search_query: str | None,
    page_id: str | None,
    referrer_page_id: str | None,
    decision_track_id: str | None,
    domain: str | None,
) -> Event:
    currency = destination.default_currency
    goods = tuple(_with_currency(item, currency) for item in _adapted(items))
    if revenue is None and event_type == EventType.PURCHASE:
        revenue = total(goods)
    identifiers = snapshot.identifiers()
    return Event(
        event_type=choice("event_type", EventType, event_type),
        timestamp=now if timestamp is None else _milliseconds(timestamp),
        channel_type=choice("channel_type", ChannelType, snapshot.channel_type),
        id=new_event_id(now) if event_id is None else event_id,
        user_id=identifiers.get("user_id"),
        custom_id=identifiers.get("custom_id"),
        domain=domain,
        device=snapshot.device(identifiers.get("persistent_id")),
        items=goods,
        revenue=_money("revenue", revenue, currency),
        shipping_charge=_money("shipping_charge", shipping_charge, currency),
        search_query=search_query[:_MAX_QUERY] if isinstance(search_query, str) else search_query,
        page_id=page_id or snapshot.page_id,
        referrer_page_id=referrer_page_id or snapshot.referrer_page_id,
        decision_track_id=decision_track_id,
        personalization_mode=None
        if snapshot.mode is None
        else choice("personalization_mode", PersonalizationMode, snapshot.mode),
        now=now,
    )


def _adapted(items: Any) -> tuple[Item, ...]:
    try:
        return as_items(items)
    except InvalidEventError:
        raise
    except Exception as error:
        raise InvalidEventError(
            "items",
            f"an adapter failed with {type(error).__name__}",
            "Mend the function registered with @as_item.register.",
        ) from error


def _with_currency(item: Item, currency: str | None) -> Item:
    price = _money("price", item.price, currency)
    price_seller = _money("price_seller", item.price_seller, currency)
    if price is item.price and price_seller is item.price_seller:
        return item
    return priced(item, price, price_seller)


def _money(field: str, value: Amount | None, currency: str | None) -> Money | None:
    if value is None:
        return None
    try:
        money = value if isinstance(value, Money) else Money(value)
        return money if money.currency else money.in_currency(currency)
    except InvalidEventError as error:
        raise error.under(field) from None


def _milliseconds(moment: datetime | int) -> int:
    if not isinstance(moment, datetime):
        return moment
    if moment.utcoffset() is None:
        raise InvalidEventError(
            "timestamp", "is a datetime without a time zone", "Pass an aware one, or milliseconds."
        )
    return int(moment.timestamp() * 1000)


def track_home(**keywords: Any) -> str | None:
    """Report that the shopper sees the main page; keywords as for :func:`track`."""
    return track(EventType.HOME, **keywords)


def track_land(**keywords: Any) -> str | None:
    """Report an arrival from another site; keywords as for :func:`track`."""
    return track(EventType.LAND, **keywords)


def track_page_view(page_id: str | None = None, **keywords: Any) -> str | None:
    """Report a view of a page other than home and product pages."""
    return track(EventType.PAGE_VIEW, page_id=page_id, **keywords)


def track_search(search_query: str, items: Any = (), **keywords: Any) -> str | None:
    """Report a search by keywords."""
    return track(EventType.SEARCH, items, search_query=search_query, **keywords)


def track_item_page_view(item: Any, **keywords: Any) -> str | None:
    """Report a view of a product's page."""
    return track(EventType.ITEM_PAGE_VIEW, item, **keywords)


def track_add_to_cart(items: Any, **keywords: Any) -> str | None:
    """Report what went into the cart."""
    return track(EventType.ADD_TO_CART, items, **keywords)


def track_add_to_wishlist(items: Any, **keywords: Any) -> str | None:
    """Report what went onto the wish list."""
    return track(EventType.ADD_TO_WISHLIST, items, **keywords)


def track_purchase(items: Any, revenue: Amount | None = None, **keywords: Any) -> str | None:
    """Report an order; the revenue is worked out from the items if it is left out."""
    return track(EventType.PURCHASE, items, revenue=revenue, **keywords)
