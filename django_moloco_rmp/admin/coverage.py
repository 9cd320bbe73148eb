"""How complete delivered events are: what identifies the shopper, and where it happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_moloco_rmp.admin.charts import STRIP
from django_moloco_rmp.admin.scenarios import Delivered
from django_moloco_rmp.conf import Destination
from django_moloco_rmp.protocol import Reason

#: Of a sample of delivered events: a share of one identifier that is no longer one shopper's.
_SHARED = 0.25
_FEW = 50
_MOSTLY = 0.9


@dataclass(frozen=True, slots=True)
class Measure:
    """A share of delivered events; ``advice`` is blank where it is good enough."""

    name: str
    label: str
    share: float
    text: str
    length: str
    advice: str


_LABELS = {
    "with_user_id": _("user id"),
    "with_persistent_id": _("persistent id"),
    "with_both": _("both"),
    "with_page_id": _("page id"),
    "with_referrer": _("referrer page id"),
}


def _user_advice(share: float) -> Any:
    if share == 0:
        return _(
            "No shopper was ever known by a user id. Sign in, and look at AuthenticationMiddleware "
            "and the setting USER_ID."
        )
    return ""


def _browser_advice(share: float) -> Any:
    if share == 0:
        return _("No event has one: PERSISTENT_ID_COOKIE is off, or the cookie is not let through.")
    if share < _MOSTLY:
        return _("Some browsers send no cookie back; below 90 %, look at caches and consent.")
    return ""


def _both_advice(share: float) -> Any:
    if share == 0:
        return _("Moloco joins visits by events that have both: let signed-in shoppers have both.")
    return ""


def _page_advice(share: float) -> Any:
    if share < _MOSTLY:
        return _("Name the other pages, with @page or in PAGES: ads are chosen by page id.")
    return ""


def _referrer_advice(share: float) -> Any:
    if share == 0:
        return _("Name the pages that lead to others: a referrer is the page before, by its name.")
    return ""


_ADVICE = {
    "with_user_id": _user_advice,
    "with_persistent_id": _browser_advice,
    "with_both": _both_advice,
    "with_page_id": _page_advice,
    "with_referrer": _referrer_advice,
}


def total(found: Mapping[str, Delivered]) -> Delivered:
    """Return all types together."""
    return sum(found.values(), start=Delivered())


def measures(everything: Delivered) -> list[Measure]:
    """Return the shares; none if nothing was delivered."""
    if not everything.count:
        return []
    return [_measure(name, getattr(everything, name) / everything.count) for name in _LABELS]


def _measure(name: str, share: float) -> Measure:
    return Measure(
        name,
        str(_LABELS[name]),
        share,
        percent(share),
        f"{share * STRIP:.1f}",
        str(_ADVICE[name](share)),
    )


def percent(share: float) -> str:
    """Return a share for a person: 0 % and 100 % are none and all."""
    if 0 < share < 0.01:
        return gettext("less than 1 %")
    if 0.99 < share < 1:
        return gettext("more than 99 %")
    return gettext("%(percent)d %%") % {"percent": round(share * 100)}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at: ``tone`` is ``good``, ``quiet``, ``warning`` or ``bad``."""

    tone: str
    title: str
    text: str
    advice: str = ""


def identifiers(events: int, different: int, most: int) -> Finding:
    """
    Return what a sample of delivered events says of shared identifiers.

    :param events: in the sample
    :param different: identifiers among them
    :param most: events of the commonest one
    """
    title = gettext("Events per identifier")
    if events < _FEW:
        return Finding("quiet", title, gettext("Not enough has been delivered to tell yet."))
    text = gettext(
        "The last %(events)s events that were looked at are of %(different)s identifiers; "
        "the commonest has %(most)s of them."
    ) % {"events": events, "different": different, "most": most}
    if most / events < _SHARED:
        return Finding("good", title, text)
    return Finding(
        "warning",
        title,
        text,
        gettext(
            "That is too many for one shopper: Moloco throttles them all. Look for an identifier "
            "that many share: a cached cookie, one user id for all guests, a crawler."
        ),
    )


def gone() -> Finding:
    """Return that a destination is in the settings no more."""
    return Finding(
        "bad",
        gettext("Platform id and API key"),
        gettext("This destination is in the settings no more, so nothing is sent to it."),
    )


def pairing(
    destination: Destination | None, reason: str, last_success_at: int, *, is_debug: bool
) -> Finding:
    """
    Return whether platform id and key belong together. The key itself is never told.

    :param destination: None if the settings are at fault
    :param reason: of the circuit, blank if it is closed
    :param last_success_at: 0 for never
    """
    title = gettext("Platform id and API key")
    if destination is None:
        return Finding("bad", title, gettext("The settings are at fault; the dashboard says how."))
    is_test = "TEST" in destination.platform_id.upper()
    kind = gettext("a test platform") if is_test else gettext("a production platform")
    text = gettext("%(id)s is %(kind)s, as its name has it.") % {
        "id": destination.platform_id,
        "kind": kind,
    }
    if destination.base_url:
        text += " " + gettext("BASE_URL sends events to an address of your own.")
    if reason == Reason.CONFIGURATION:
        return Finding(
            "bad",
            title,
            text + " " + gettext("The last calls were refused."),
            gettext("Id and key go in pairs, test with test: put in both of the same platform."),
        )
    if not last_success_at:
        return Finding("quiet", title, text + " " + gettext("No event was accepted yet."))
    text += " " + gettext("Moloco accepts the key with it.")
    if is_test and not is_debug:
        return Finding(
            "quiet",
            title,
            text,
            gettext("When you go live, change both: PLATFORM_ID and API_KEY."),
        )
    return Finding("good", title, text)
