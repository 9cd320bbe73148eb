"""The filters of the list of events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from django_moloco_rmp.admin.choosing import PARAMETER, chosen
from django_moloco_rmp.admin.grouping import Grouped, grouped
from django_moloco_rmp.admin.numbers import number
from django_moloco_rmp.choices import EventType
from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import default_alias

State = OutboxEvent.State
_MOST_MESSAGES = 10
_LONGEST_LABEL = 60


class ChoiceFilter(admin.SimpleListFilter):
    """A filter that takes its own choices, and ignores whatever else is in the address."""

    #: Whether an index finds the rows, however many there are.
    is_indexed = False

    def value(self) -> str | None:
        """Return the choice, None if it is none."""
        value = super().value()
        return value if value in {str(key) for key, _ in self.lookup_choices} else None


class StateFilter(ChoiceFilter):
    """Pending, rejected, or delivered and known by id only."""

    title = _("state")
    parameter_name = "state"
    is_indexed = True
    states: ClassVar[dict[str, State]] = {
        "pending": State.PENDING,
        "rejected": State.REJECTED,
        "sent": State.SENT,
    }

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the states."""
        return [(name, state.label) for name, state in self.states.items()]

    def state(self) -> int | None:
        """Return the state that was chosen."""
        value = self.value()
        return None if value is None else int(self.states[value])

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Filter."""
        state = self.state()
        return queryset if state is None else queryset.filter(state=state)


class DestinationFilter(ChoiceFilter):
    """
    One destination, always: the list's order is that of an index which has it in front.

    The list itself filters by it, for an event that is looked for by its id may be of any.
    """

    title = _("destination")
    parameter_name = PARAMETER

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return all there are."""
        return [(name, name) for name in chosen(request, default_alias()).known]

    def has_output(self) -> bool:
        """Return whether there is a choice."""
        return len(self.lookup_choices) > 1

    def value(self) -> str | None:
        """Return the choice, or the first."""
        return super().value() or self.lookup_choices[0][0]

    def choices(self, changelist: Any) -> Any:
        """Return the choices, without one for all."""
        choices = super().choices(changelist)
        next(choices)
        return choices

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Leave it to the list."""
        return queryset


class TypeFilter(ChoiceFilter):
    """One event type."""

    title = _("event type")
    parameter_name = "type"

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the types."""
        return [(each.value, each.value) for each in EventType]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Filter."""
        value = self.value()
        return queryset if value is None else queryset.filter(event_type=value)


class AgeFilter(ChoiceFilter):
    """When an event was recorded, by the database's clock."""

    title = _("age")
    parameter_name = "age"
    ages: ClassVar[dict[str, tuple[timedelta, Any]]] = {
        "hour": (timedelta(hours=1), _("Within the last hour")),
        "day": (timedelta(days=1), _("Within the last day")),
        "week": (timedelta(days=7), _("Within the last week")),
        "older": (timedelta(days=7), _("Older than a week")),
    }

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the ages."""
        return [(name, label) for name, (_age, label) in self.ages.items()]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Filter."""
        value = self.value()
        if value is None:
            return queryset
        moment = DatabaseNow() - self.ages[value][0]
        if value == "older":
            return queryset.filter(created_at__lt=moment)
        return queryset.filter(created_at__gte=moment)


class StatusFilter(ChoiceFilter):
    """The HTTP status of the last answer."""

    title = _("HTTP status")
    parameter_name = "status"
    statuses: ClassVar[dict[str, dict[str, Any]]] = {
        "400": {"last_status": 400},
        "413": {"last_status": 413},
        "422": {"last_status": 422},
        "429": {"last_status": 429},
        "401-405": {"last_status__range": (401, 405)},
        "5xx": {"last_status__range": (500, 599)},
        "4xx": {"last_status__in": [*({*range(406, 500)} - {413, 422, 429})]},
        "3xx": {"last_status__range": (300, 399)},
        "none": {"last_status__isnull": True},
    }
    labels: ClassVar[dict[str, Any]] = {
        "401-405": _("401 to 405 (settings)"),
        "5xx": _("500 to 599 (their server)"),
        "4xx": _("406 to 499, others"),
        "3xx": _("300 to 399 (redirected)"),
        "none": _("no answer yet"),
    }

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the statuses that events are kept with."""
        return [(name, self.labels.get(name, name)) for name in self.statuses]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Filter."""
        value = self.value()
        return queryset if value is None else queryset.filter(**self.statuses[value])


class MessageFilter(ChoiceFilter):
    """What the vendor said of rejected events, messages that are alike taken together."""

    title = _("Moloco's message")
    parameter_name = "message"
    grouped: Grouped

    def lookups(self, request: Any, model_admin: Any) -> Any:
        """Return the groups with how many events are in each."""
        name = chosen(request, default_alias()).name
        rows = model_admin.get_queryset(request)
        self.grouped = grouped(rows.filter(state=State.REJECTED, destination=name))
        return [
            (group.key, f"{Truncator(group.message).chars(_LONGEST_LABEL)} ({number(group.count)})")
            for group in self._shown()
        ]

    def _shown(self) -> Iterator[Any]:
        # What was chosen stays in sight, however few events it has.
        chosen = self.used_parameters.get(self.parameter_name)
        for place, group in enumerate(self.grouped.groups):
            if place < _MOST_MESSAGES or group.key == chosen:
                yield group

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Filter."""
        group = self.grouped.find(self.value() or "")
        if group is None:
            return queryset
        alike = queryset.filter(state=State.REJECTED, last_status=group.status)
        return alike.filter(last_error__in=sorted(group.texts))
