"""
A shop's process with a background thread, which a test run has none of: does what its first
argument names, and prints the outcome as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import AsyncClient  # noqa: E402
from django.test.utils import CaptureQueriesContext, override_settings  # noqa: E402

from django_moloco_rmp import Item, Money, track  # noqa: E402

SHOPPER = {"channel_type": "SITE", "persistent_id": "5" * 64, "page_id": "PAGE"}
LAMP = Item("lamp", price=Money("19.90", "EUR"), quantity=1)
BROWSING = ("HOME", "LAND", "PAGE_VIEW", "SEARCH", "ITEM_PAGE_VIEW")


def emit(event_type: str = "PAGE_VIEW", **keywords: Any) -> str | None:
    if event_type == "SEARCH":
        keywords["search_query"] = "lamp"
    return track(event_type, LAMP, shopper=SHOPPER, **keywords)


def statements(work: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        work()
    return [each["sql"].split()[0] for each in queries]


def views() -> dict[str, Any]:
    """What the request itself does for each type, by itself and in a transaction."""
    found = {event_type: statements(lambda kind=event_type: emit(kind)) for event_type in BROWSING}
    found["ADD_TO_CART"] = statements(lambda: emit("ADD_TO_CART"))
    found["own id"] = statements(lambda: emit("HOME", event_id="home-1"))
    with transaction.atomic():
        found["in a transaction"] = statements(emit)
    return found


def unconnected() -> bool:
    """Whether a view that needs no database is left without a connection."""
    connection.close()
    emit()
    return connection.connection is None


def transactions() -> dict[str, Any]:
    """Which of the events of some transactions are there in the end."""
    ids: dict[str, str | None] = {}
    with transaction.atomic():
        ids["undone"] = emit()
        transaction.set_rollback(True)
    with transaction.atomic():
        ids["before"] = emit()
        with transaction.atomic():
            ids["undone savepoint"] = emit()
            transaction.set_rollback(True)
        with transaction.atomic():
            ids["savepoint"] = emit()
    transaction.set_autocommit(False)
    ids["by hand, undone"] = emit()
    transaction.rollback()
    ids["by hand"] = emit()
    transaction.commit()
    transaction.set_autocommit(True)
    ids["by itself"] = emit()
    return ids


def by_hand() -> list[str]:
    """What an event costs a shop that commits by itself."""
    transaction.set_autocommit(False)
    try:
        found = statements(emit)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    return [each for each in found if each in {"INSERT", "SAVEPOINT"}]


def event_loop() -> list[str | None]:
    """Events of code that runs in a loop and does not wait."""

    async def visit() -> list[str | None]:
        return [emit("HOME"), emit("PURCHASE"), emit("PURCHASE", event_id="order-1")]

    return [*asyncio.run(visit()), *asyncio.run(visit())]


def event_loop_raises() -> str:
    """The error for the same."""

    async def visit() -> str:
        try:
            emit("HOME")
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "nothing"

    return asyncio.run(visit())


def event_loop_of_a_customer() -> str:
    """What a customer's view gets that runs in a loop and does not wait."""
    visitor = AsyncClient()
    visitor.force_login(get_user_model().objects.create_user("ada"))
    with override_settings(
        ROOT_URLCONF="tests.integration.tracking_urls", ALLOWED_HOSTS=["testserver"]
    ):
        return asyncio.run(visitor.get("/sync-track-in-the-loop/")).content.decode()


if __name__ == "__main__":
    print(json.dumps([globals()[name]() for name in sys.argv[1:]]))
