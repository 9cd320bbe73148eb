"""
The list of events, at a pace that does not depend on how many are kept.

What an index finds is listed to the end. Everything else, such as a type or a page id, is looked
for in a window of so many events, the newest first; the list says so, and the window can be moved.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.paginator import Page, Paginator
from django.db.models import Q, Subquery
from django.utils import formats

from django_moloco_rmp.admin.choosing import Chosen, chosen
from django_moloco_rmp.admin.filters import (
    ChoiceFilter,
    DestinationFilter,
    MessageFilter,
    StateFilter,
)
from django_moloco_rmp.models import OutboxEvent

#: Counts of a list end here.
MOST_COUNTED = 10_000
#: The parameter of an address that says at which event the window begins.
BEFORE = "before"
_MOST_KEY = 2**63 - 1
_MOST_DIGITS = 19
_ROUGHLY = timedelta(seconds=1)


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts to a limit, and takes any page number for the nearest page that there is."""

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.all()[: MOST_COUNTED + 1].count())

    @property
    def is_capped(self) -> bool:
        """Whether there is more than was counted."""
        return self._counted > MOST_COUNTED

    @cached_property
    def count(self) -> int:
        """How many, up to the limit."""
        return min(self._counted, MOST_COUNTED)

    def page(self, number: Any) -> Page:  # type: ignore[type-arg]
        """Return the nearest page."""
        return super().page(min(max(1, int(number)), self.num_pages))


@dataclass(frozen=True, slots=True)
class Window:
    """What was looked through: so many events; links to the next window and to the first one."""

    size: int
    older: str
    newer: str

    @property
    def size_text(self) -> str:
        """The size, for a person."""
        return formats.number_format(self.size, force_grouping=True)


class EventList(ChangeList):
    """The list of events as the filters and the search have it."""

    window: Window | None = None
    _destination: Chosen

    @property
    def count_text(self) -> str:
        """How many were counted, for a person."""
        return formats.number_format(self.result_count, force_grouping=True)

    def get_queryset(self, request: Any, exclude_parameters: Any = None) -> Any:
        """Return the events that are listed."""
        queryset = super().get_queryset(request, exclude_parameters)
        term = self.query.strip()
        if term and self.root_queryset.filter(event_id=term).exists():
            return queryset.filter(event_id=term)
        self._destination = chosen(request, self.root_queryset.db)
        if self._destination.tabs or self._state() is not None:
            queryset = queryset.filter(destination=self._destination.name)
        if term:
            queryset = queryset.filter(payload__contains=_page_id(term))
        if term or self._is_sifted():
            queryset = queryset.filter(self._within(request))
        return queryset

    def _is_sifted(self) -> bool:
        """Return whether a filter is set that no index serves."""
        if self._state() is None and self._destination.tabs:
            return True
        return any(
            not spec.is_indexed and spec.value() is not None
            for spec in self.filter_specs
            if isinstance(spec, ChoiceFilter) and not isinstance(spec, DestinationFilter)
        )

    def get_results(self, request: Any) -> None:
        """Get the page that is asked for, or the nearest one."""
        super().get_results(request)
        self.page_num = min(max(1, self.page_num), self.paginator.num_pages)

    def get_filters_params(self, params: Any = None) -> Any:
        """Return what filters take, which the window is not."""
        found = super().get_filters_params(params)
        found.pop(BEFORE, None)
        return found

    def get_query_string(self, new_params: Any = None, remove: Any = None) -> str:
        """Return an address; another filter begins at the newest events again."""
        changes = new_params or {}
        if PAGE_VAR not in changes and BEFORE not in changes:
            changes = {**changes, BEFORE: None}
        return super().get_query_string(changes, remove)

    def get_ordering(self, request: Any, queryset: Any) -> list[Any]:
        """Return an order that an index serves: newest first."""
        return ["-id"] if self._state() is None else ["-available_at", "-id"]

    def _state(self) -> int | None:
        state = None
        for spec in self.filter_specs:
            if isinstance(spec, StateFilter) and spec.value() is not None:
                return spec.state()
            if isinstance(spec, MessageFilter) and spec.value() is not None:
                state = int(OutboxEvent.State.REJECTED)
        return state

    def _within(self, request: Any) -> Q:
        """Return what limits the list to the window that the address asks for."""
        newest = self._row(request.GET.get(BEFORE))
        oldest = self._boundary(newest)
        self.window = None
        if newest is not None or oldest is not None:
            self.window = Window(
                self._size,
                "" if oldest is None else self.get_query_string({BEFORE: oldest["id"]}),
                "" if newest is None else self.get_query_string(),
            )
        limits = Q() if newest is None else self._up_to(newest)
        return limits if oldest is None else limits & self._after(oldest)

    @property
    def _size(self) -> int:
        admin: Any = self.model_admin
        return int(admin.window_size)

    @property
    def _rows(self) -> Any:
        state, rows = self._state(), self.root_queryset
        if state is not None:
            rows = rows.filter(state=state, destination=self._destination.name)
        return rows.order_by(*self.get_ordering(None, None)).values("available_at", "id")

    def _row(self, key: str | None) -> dict[str, Any] | None:
        """Return where a window begins; None for the newest, or if that event has gone on."""
        return self._rows.filter(pk=key).first() if key is not None and is_key(key) else None

    def _boundary(self, newest: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return where the next window begins; None if this is the last one."""
        rows = self._rows if newest is None else self._rows.filter(self._up_to(newest))
        return next(iter(rows[self._size : self._size + 1]), None)

    def _moment(self, row: dict[str, Any]) -> Subquery:
        # Asked of the database: as Python knows it, SQLite would not find it equal to itself.
        rows = self.root_queryset.filter(pk=row["id"]).order_by()
        return Subquery(rows.values("available_at")[:1])

    def _up_to(self, row: dict[str, Any]) -> Q:
        if self._state() is None:
            return Q(pk__lte=row["id"])
        moment = self._moment(row)
        # What is read of the index is limited by a constant, roughly: PostgreSQL plans by those.
        return Q(available_at__lte=row["available_at"] + _ROUGHLY) & (
            Q(available_at__lt=moment) | Q(available_at=moment, pk__lte=row["id"])
        )

    def _after(self, row: dict[str, Any]) -> Q:
        if self._state() is None:
            return Q(pk__gt=row["id"])
        moment = self._moment(row)
        return Q(available_at__gte=row["available_at"] - _ROUGHLY) & (
            Q(available_at__gt=moment) | Q(available_at=moment, pk__gt=row["id"])
        )


def _page_id(term: str) -> str:
    # As wire.dumps() writes it. Inside of a JSON string each quote has a backslash before it, so
    # that nothing else in the body can match.
    return f'"page_id":{json.dumps(term)[:-1]}'


def is_key(text: str) -> bool:
    """Return whether a text can be the key of an event."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return is_number and int(text) <= _MOST_KEY
