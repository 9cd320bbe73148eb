"""What became of events over the last hour, day and week: figures of the dashboard."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils import formats, timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_moloco_rmp.admin.charts import Column, Strip
from django_moloco_rmp.admin.numbers import number
from django_moloco_rmp.choices import EventType
from django_moloco_rmp.counts import DELIVERED, DROPPED, REJECTED, RETRIED
from django_moloco_rmp.models import HourlyCount

#: In this order everywhere, the good news first.
OUTCOMES = {
    DELIVERED: _("delivered"),
    RETRIED: _("to be tried again"),
    REJECTED: _("rejected"),
    DROPPED: _("dropped"),
}
#: Hours that a period reaches back, and hours that one column of its chart stands for.
PERIODS = {"hour": (1, 0), "day": (24, 1), "week": (168, 6)}
LABELS = {"hour": _("Last hour"), "day": _("Last day"), "week": _("Last week")}
_HOUR = 3600
_LABEL_EVERY = {"day": 4, "week": 4}


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one event type."""

    event_type: str
    figures: tuple[str, ...]
    strip: Strip


@dataclass(frozen=True, slots=True)
class Tile:
    """The figure of one outcome."""

    outcome: str
    label: str
    figure: str
    hint: str


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one period, which began at ``since``."""

    period: str
    since: str
    tiles: tuple[Tile, ...]
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    outcomes: tuple[tuple[str, str], ...]
    most: str
    is_empty: bool


def figures(using: str, destination: str, period: str, hour: int) -> Figures:
    """
    Return the figures of a period.

    Counts are kept by the full hour, so a period begins at one: the last hour is this one and the
    one before it.

    :param using: the database's alias
    :param destination: its name
    :param hour: the present one, in hours since the epoch
    """
    length, width = PERIODS[period]
    first = hour - length
    rows = (
        HourlyCount._base_manager.using(using)
        .filter(destination=destination, hour__range=(first, hour))
        .values_list("hour", "event_type", "outcome", "count")
    )
    types: dict[str, Counter[str]] = {}
    hours: dict[int, Counter[str]] = {}
    totals: Counter[str] = Counter()
    for at, event_type, outcome, count in rows:
        types.setdefault(event_type, Counter())[outcome] += count
        hours.setdefault(at, Counter())[outcome] += count
        totals[outcome] += count
    most = max((sum(each.values()) for each in types.values()), default=0)
    columns = _columns(hours, first, hour, width, period) if width else []
    return Figures(
        period,
        _moment(first, "hour" if period == "hour" else "week_hour"),
        tuple(
            Tile(name, str(label), number(totals[name]), str(_HINTS[name]))
            for name, label in OUTCOMES.items()
        ),
        tuple(_row(name, types[name], most) for name in sorted(types, key=_place)),
        tuple(columns),
        tuple((name, str(label)) for name, label in OUTCOMES.items()),
        number(max((column.total for column in columns), default=0)),
        not totals,
    )


_HINTS = {
    DELIVERED: _("accepted by Moloco"),
    RETRIED: _("attempts that failed; the events are kept and sent later"),
    REJECTED: _("refused by Moloco for good, and kept here"),
    DROPPED: _("shed from a full buffer, or discarded"),
}
_ORDER = [each.value for each in EventType]


def _place(event_type: str) -> tuple[int, str]:
    place = _ORDER.index(event_type) if event_type in _ORDER else len(_ORDER)
    return place, event_type


def _row(event_type: str, counts: Counter[str], most: int) -> Row:
    values = [(name, counts[name]) for name in OUTCOMES]
    figures = tuple(number(count) for _name, count in values)
    told = ", ".join(f"{number(counts[name])} {label}" for name, label in OUTCOMES.items())
    return Row(event_type, figures, Strip.of(values, most, f"{event_type}: {told}"))


def _columns(
    hours: dict[int, Counter[str]], first: int, last: int, width: int, period: str
) -> list[Column]:
    shift = _offset(last)
    start = (first + shift) // width
    buckets: dict[int, Counter[str]] = {}
    for bucket in range(start, (last + shift) // width + 1):
        buckets[bucket] = Counter()
    for at, counts in hours.items():
        buckets[(at + shift) // width] += counts
    most = max((sum(each.values()) for each in buckets.values()), default=0)
    every = _LABEL_EVERY[period]
    columns = []
    for place, (bucket, counts) in enumerate(sorted(buckets.items())):
        at = bucket * width - shift
        label = _moment(at, period) if bucket % every == 0 else ""
        told = ", ".join(
            f"{number(counts[name])} {text}" for name, text in OUTCOMES.items() if counts[name]
        )
        title = f"{_moment(at, 'week_hour' if period == 'week' else 'hour')}: "
        title += told or gettext("nothing")
        columns.append(
            Column.of(
                place,
                len(buckets),
                [(name, counts[name]) for name in OUTCOMES],
                most,
                label=label,
                title=title,
                total=sum(counts.values()),
                when=_moment(at, "week_hour" if period == "week" else "hour"),
                figures=tuple(number(counts[name]) for name in OUTCOMES),
            )
        )
    return columns


def _offset(hour: int) -> int:
    """Return how many hours the local time is ahead of UTC."""
    seconds: float = _local(hour).utcoffset().total_seconds()
    return round(seconds / _HOUR)


def _local(hour: int) -> Any:
    return datetime.fromtimestamp(hour * _HOUR, UTC).astimezone(timezone.get_current_timezone())


def _moment(hour: int, form: str) -> str:
    local = _local(hour)
    if form == "week":
        return formats.date_format(local, "D j")
    if form == "week_hour":
        return f"{formats.date_format(local, 'D j')}, {formats.time_format(local, 'TIME_FORMAT')}"
    return formats.time_format(local, "H:i")
