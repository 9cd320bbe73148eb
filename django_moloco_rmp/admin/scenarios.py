"""
The vendor's acceptance scenarios, ticked off by what was really delivered.

https://mcm-docs.moloco.com/docs/testing-real-time-events
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Q, Sum
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_moloco_rmp.choices import EventType
from django_moloco_rmp.counts import DELIVERED
from django_moloco_rmp.models import HourlyCount

_SUMS = (
    "count",
    "with_user_id",
    "with_persistent_id",
    "with_both",
    "with_page_id",
    "with_referrer",
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """
    What was delivered of one type: how many, and how many of them with what.

    ``last_at`` and ``referrer_at`` (the last hour with a referrer) are microseconds, 0 for never.
    """

    count: int = 0
    with_user_id: int = 0
    with_persistent_id: int = 0
    with_both: int = 0
    with_page_id: int = 0
    with_referrer: int = 0
    last_at: int = 0
    referrer_at: int = 0
    example: str = ""

    def __add__(self, other: Delivered) -> Delivered:
        """Return both together, without an example."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _SUMS}
        return Delivered(
            **sums,
            last_at=max(self.last_at, other.last_at),
            referrer_at=max(self.referrer_at, other.referrer_at),
        )


def delivered(using: str, destination: str) -> dict[str, Delivered]:
    """
    Return what was delivered of each type to a destination, of as long as counts are kept.

    :param using: the database's alias
    :param destination: its name
    """
    rows = HourlyCount._base_manager.using(using).filter(
        destination=destination, outcome=DELIVERED, count__gt=0
    )
    sums: dict[str, Any] = {
        row["event_type"]: row
        for row in rows.values("event_type").annotate(
            **{f"sum_{name}": Sum(name) for name in _SUMS},
            newest=Max("last_at"),
            newest_referrer=Max("last_at", filter=Q(with_referrer__gt=0)),
        )
    }
    newest = Q(pk__in=[])
    for name, row in sums.items():
        newest |= Q(event_type=name, last_at=row["newest"])
    examples = dict(rows.filter(newest).values_list("event_type", "last_event_id"))
    return {
        name: Delivered(
            **{each: row[f"sum_{each}"] for each in _SUMS},
            last_at=row["newest"],
            referrer_at=row["newest_referrer"] or 0,
            example=examples.get(name, ""),
        )
        for name, row in sums.items()
    }


@dataclass(frozen=True, slots=True)
class Scenario:
    """
    One acceptance scenario: what to do, what Moloco gets to see, what is amiss if it does not.

    ``counted`` is the column that counts; blank if another scenario has the same event, so that
    somebody has to look.
    """

    title: Any
    event_type: EventType
    steps: Any
    expected: Any
    advice: Any
    counted: str = "count"


SCENARIOS = (
    Scenario(
        _("Home"),
        EventType.HOME,
        _("Open the home page."),
        _("HOME"),
        _("Decorate the home page's view with @home."),
    ),
    Scenario(
        _("Page view"),
        EventType.PAGE_VIEW,
        _("Open a category or another page."),
        _("PAGE_VIEW with the right page id"),
        _("Decorate the view with @page_view and name its page, as in CATEGORY:{slug}."),
        "with_page_id",
    ),
    Scenario(
        _("Item page view"),
        EventType.ITEM_PAGE_VIEW,
        _("Open an item from a list."),
        _("ITEM_PAGE_VIEW with the item's id"),
        _("Decorate the product's view with @item_page_view, or use the template tag."),
    ),
    Scenario(
        _("Item page view with a referrer"),
        EventType.ITEM_PAGE_VIEW,
        _("Search in the shop, and open an item from the results."),
        _("ITEM_PAGE_VIEW with a referrer page id"),
        _("Name the pages that lead to items, with @page or in PAGES: the list, the search."),
        "with_referrer",
    ),
    Scenario(
        _("Add to cart"),
        EventType.ADD_TO_CART,
        _("Press the button."),
        _("ADD_TO_CART with the item's id"),
        _("Call track_add_to_cart(), or send added_to_cart, where the cart changes."),
    ),
    Scenario(
        _("Add to wishlist"),
        EventType.ADD_TO_WISHLIST,
        _("Press the button."),
        _("ADD_TO_WISHLIST with the item's id"),
        _("Call track_add_to_wishlist(); leave this out if the shop has no wishlist."),
    ),
    Scenario(
        _("Search"),
        EventType.SEARCH,
        _("Search from the main box."),
        _("SEARCH with the query"),
        _("Decorate the search's view with @search."),
    ),
    Scenario(
        _("Search in a category"),
        EventType.SEARCH,
        _("Open a category, and search from its box."),
        _("SEARCH with the query"),
        _(
            "Moloco gets the same event as from the main search, so counts cannot tell them apart. "
            "Look at it in the sandbox: its page id is the category's."
        ),
        "",
    ),
    Scenario(
        _("Purchase"),
        EventType.PURCHASE,
        _("Buy an item."),
        _("PURCHASE with items and revenue"),
        _("Call track_purchase() where the order is paid, in its transaction."),
    ),
)


@dataclass(frozen=True, slots=True)
class Tick:
    """A scenario and how it stands: ``state`` is ``done``, ``open`` or ``look``."""

    scenario: Scenario
    state: str
    label: str
    count: int
    last_at: int
    example: str


def ticks(found: Mapping[str, Delivered]) -> list[Tick]:
    """Return how each scenario stands."""
    return [_tick(scenario, found.get(scenario.event_type, Delivered())) for scenario in SCENARIOS]


def _tick(scenario: Scenario, found: Delivered) -> Tick:
    if not scenario.counted:
        return Tick(scenario, "look", gettext("look yourself"), 0, 0, "")
    count = getattr(found, scenario.counted)
    if not count:
        return Tick(scenario, "open", gettext("not seen yet"), 0, 0, "")
    has_referrer = scenario.counted == "with_referrer"
    last_at = found.referrer_at if has_referrer else found.last_at
    # The last event of an hour need not be the one that had a referrer.
    example = "" if has_referrer else found.example
    return Tick(scenario, "done", gettext("delivered"), count, last_at, example)
