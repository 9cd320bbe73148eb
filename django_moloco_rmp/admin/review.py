"""How far the integration has come, in the checklist's words."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings

from django_moloco_rmp import conf
from django_moloco_rmp.admin.charts import STRIP
from django_moloco_rmp.admin.coverage import (
    Finding,
    gone,
    identifiers,
    measures,
    pairing,
    percent,
    total,
)
from django_moloco_rmp.admin.durations import ago
from django_moloco_rmp.admin.numbers import number
from django_moloco_rmp.admin.scenarios import Delivered, Tick, delivered, ticks
from django_moloco_rmp.choices import EventType
from django_moloco_rmp.counts import KEPT
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.protocol import SECOND

_SAMPLE = ("sample_events", "sample_identifiers", "sample_most")


def review(using: str, name: str) -> dict[str, Any]:
    """
    Return what has been seen of a destination's scenarios, for the template.

    :param using: alias of the outbox's database
    :param name: of the destination
    """
    now = Gate(using, name).look().now
    found = delivered(using, name)
    everything = total(found)
    row = (
        GateRow._base_manager.using(using)
        .values(*_SAMPLE, "reason", "last_success_at")
        .get(pk=name)
    )
    ticked = [_shown(tick, now) for tick in ticks(found)]
    return {
        "ticks": ticked,
        "done": sum(1 for each in ticked if each["state"] == "done"),
        "open": sum(1 for each in ticked if each["state"] == "open"),
        "days": KEPT // 24,
        "total": number(everything.count),
        "measures": measures(everything),
        "types": [_type(name, found[name]) for name in _names(found)],
        "strip": STRIP,
        "findings": [
            _pairing(name, row["reason"], row["last_success_at"]),
            identifiers(*(row[name] for name in _SAMPLE)),
        ],
    }


def _pairing(name: str, reason: str, last_success_at: int) -> Finding:
    destinations = {} if conf.problems() else conf.get_settings().destinations
    if destinations and name not in destinations:
        return gone()
    return pairing(destinations.get(name), reason, last_success_at, is_debug=django_settings.DEBUG)


def _shown(tick: Tick, now: int) -> dict[str, Any]:
    return {
        "state": tick.state,
        "label": tick.label,
        "title": tick.scenario.title,
        "steps": tick.scenario.steps,
        "expected": tick.scenario.expected,
        "advice": "" if tick.state == "done" else tick.scenario.advice,
        "count": number(tick.count),
        "seen": ago(max(now - tick.last_at, 0) / SECOND) if tick.last_at else "",
        "example": tick.example,
    }


def _names(found: dict[str, Delivered]) -> list[str]:
    known = [each.value for each in EventType if each.value in found]
    return known + sorted(set(found) - set(known))


def _type(name: str, found: Delivered) -> dict[str, Any]:
    shares = (
        *(found.with_user_id, found.with_persistent_id, found.with_both),
        *(found.with_page_id, found.with_referrer),
    )
    return {
        "name": name,
        "count": number(found.count),
        "shares": [percent(share / found.count) for share in shares],
    }
