"""Whether events flow, for a machine that asks: four small queries and JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.views.decorators.http import require_safe

from django_moloco_rmp.backlog import Backlog
from django_moloco_rmp.conf import DEFAULT, Settings, get_settings
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.outbox import default_alias
from django_moloco_rmp.protocol import SECOND, Reason, State

View = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class Vitals:
    """
    The signs of life of one destination.

    ``since`` is how long it has been in its state, ``oldest_due`` how long the event that is due
    longest has been so, ``silence`` how long ago a relay has left a sign: all in seconds, and None
    for what never was. ``adapted_rate`` is how many calls per second throttling has left, None if
    it sets no limit.
    """

    state: State
    reason: Reason
    since: float | None
    oldest_due: float
    silence: float | None
    adapted_rate: float | None

    def troubles(self, settings: Settings) -> list[str]:
        """Return what is beyond the limits of the settings: ``backlog``, ``circuit``, ``relay``."""
        stands = self.state in {State.OPEN, State.PAUSED}
        silence = math.inf if self.silence is None else self.silence
        found = {
            "backlog": _is_beyond(self.oldest_due, settings.health_max_age),
            "circuit": stands and _is_beyond(self.since or 0.0, settings.health_max_open),
            "relay": _is_beyond(silence, settings.health_max_silence),
        }
        return [name for name, is_found in found.items() if is_found]


def _is_beyond(seconds: float, limit: int | None) -> bool:
    return limit is not None and seconds > limit


def read_vitals(using: str, destination: str = DEFAULT) -> Vitals:
    """
    Return the signs of life of a destination in one database.

    :param using: the database's alias
    :param destination: its name
    :raises django.db.Error: the database failed
    """
    gate = Gate(using, destination)
    held = gate.look()
    rate = held.pace.raised(held.now).rate
    seen_at = gate.noted()["relay_seen_at"]

    def ago(moment: int) -> float | None:
        return max(held.now - moment, 0) / SECOND if moment else None

    return Vitals(
        state=held.circuit.state,
        reason=held.circuit.reason,
        since=ago(held.circuit.changed_at),
        oldest_due=Backlog(using, destination).longest_due(),
        silence=ago(seen_at),
        adapted_rate=None if rate is None else rate / 1000,
    )


def _outside_of_transactions(view: View) -> View:
    # With ATOMIC_REQUESTS Django would meet a database that is down before the view does.
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


@_outside_of_transactions
@login_not_required
@require_safe
def health(request: HttpRequest, using: str | None = None) -> HttpResponse:
    """
    Answer 200 while events flow, else 503, with the reasons as JSON.

    It tells neither secrets nor anything of shoppers. Where there are several destinations, each
    has its figures and reasons under its name, and ``?destination=`` asks for one alone.

    :param using: alias of the outbox's database, if it is not the one that events go to by default
    """
    alias = using or default_alias()
    wanted = request.GET.get("destination")
    try:
        limits = get_settings()
        if wanted is not None and wanted not in limits.destinations:
            return HttpResponseNotFound()
        names = limits.destinations if wanted is None else [wanted]
        vitals = {name: read_vitals(alias, name) for name in names}
    except Error:
        return _answer({}, ["database"])
    except ImproperlyConfigured:
        return _answer({}, ["settings"])
    troubles = {name: each.troubles(limits) for name, each in vitals.items()}
    figures = {name: _figures(each) for name, each in vitals.items()}
    all_troubles = sorted({each for found in troubles.values() for each in found})
    if len(figures) == 1:
        return _answer(next(iter(figures.values())), all_troubles)
    by_name = {name: {"troubles": troubles[name], **figures[name]} for name in vitals}
    return _answer({"destinations": by_name}, all_troubles)


def _figures(vitals: Vitals) -> dict[str, object]:
    return {
        "circuit": vitals.state.value,
        "reason": vitals.reason.value,
        "circuit_since": _rounded(vitals.since),
        "oldest_due": _rounded(vitals.oldest_due),
        "relay_seen": _rounded(vitals.silence),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _answer(figures: Mapping[str, object], troubles: list[str]) -> HttpResponse:
    status = {"status": "unhealthy" if troubles else "ok", "troubles": troubles}
    response = JsonResponse(
        {**status, **figures},
        status=503 if troubles else 200,
        headers={"Cache-Control": "no-store"},
    )
    # Or Django would log an error each time that somebody asks, and mail it to ADMINS.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
