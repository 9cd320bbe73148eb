"""How delivery stands, in the dashboard's words."""

from __future__ import annotations

from typing import Any

from django_moloco_rmp import conf
from django_moloco_rmp.admin.advice import drain, headline
from django_moloco_rmp.admin.choosing import Chosen
from django_moloco_rmp.admin.durations import ago, moment, span
from django_moloco_rmp.admin.figures import LABELS, PERIODS, figures
from django_moloco_rmp.admin.grouping import grouped
from django_moloco_rmp.admin.masks import masked_message
from django_moloco_rmp.admin.numbers import counted, number
from django_moloco_rmp.backlog import Backlog
from django_moloco_rmp.counts import HOUR
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.status import read_status

_MOST_GROUPS = 5


def standing(
    using: str,
    about: Chosen,
    period: str,
    events_url: str,
    *,
    most_counted: int,
    most_looked_at: int,
) -> dict[str, Any]:
    """
    Return how delivery to a destination stands, for the template.

    :param using: alias of the outbox's database
    :param period: one of :data:`~django_moloco_rmp.admin.figures.PERIODS`; else the day
    :param events_url: of the list of events, blank for who may not see it
    :param most_counted: so many events are counted
    :param most_looked_at: so many are looked at
    """
    period = period if period in PERIODS else "day"
    problems = conf.problems()
    settings = None if problems else conf.get_settings()
    kept = Backlog(using, about.name, most_counted=most_counted, most_looked_at=most_looked_at)
    status = read_status(using, about.name, backlog=kept)
    backlog = status.backlog
    now = Gate(using, about.name).look().now
    became = figures(using, about.name, period, now // HOUR)
    is_new = not (
        status.delivered
        or status.rejected
        or backlog.pending.count.number
        or backlog.rejected.count.number
        or not became.is_empty
    )
    return {
        "headline": headline(status, about.name, settings, problems, is_new=is_new),
        "status": status,
        "since": _when(status.since_ago),
        "probe_in": None if status.probe_in is None else span(status.probe_in),
        "probes_now": status.probe_in is not None and status.probe_in < 1,
        "waiting": counted(backlog.pending.count),
        "rejected": counted(backlog.rejected.count),
        "oldest": None if backlog.oldest is None else span(backlog.oldest),
        "drain": drain(status),
        "relay_seen": ago(status.relay_seen_ago),
        "last_success": ago(status.last_success_ago),
        "types": [(name, number(count)) for name, count in backlog.pending.types.items()],
        "is_sample": backlog.pending.is_sample,
        "figures": became,
        "periods": [(name, label, name == period) for name, label in LABELS.items()],
        "period": period,
        "errors": _errors(using, about, events_url),
        "last_error": masked_message(status.last_error),
        "last_error_ago": ago(status.last_error_ago),
    }


def _errors(using: str, about: Chosen, events_url: str) -> dict[str, Any]:
    rows = OutboxEvent._base_manager.using(using)
    found = grouped(rows.filter(state=OutboxEvent.State.REJECTED, destination=about.name))
    newest = sorted(found.groups, key=lambda group: group.newest, reverse=True)
    return {
        "groups": [
            {
                "message": masked_message(group.message),
                "status": group.status,
                "count": number(group.count),
                "types": ", ".join(sorted(group.event_types)),
                "url": f"{events_url}?state=rejected&message={group.key}{about.query}"
                if events_url
                else "",
            }
            for group in newest[:_MOST_GROUPS]
        ],
        "more": max(0, len(found.groups) - _MOST_GROUPS),
        "looked_at": number(found.looked_at) if found.is_partial else "",
    }


def _when(seconds: float | None) -> dict[str, Any] | None:
    return None if seconds is None else {"ago": ago(seconds), "at": moment(seconds)}
