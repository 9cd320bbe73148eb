"""The panel: what a request reported, and why it did not report the rest."""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any

from debug_toolbar.panels import Panel
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_moloco_rmp.conf import is_switched_off
from django_moloco_rmp.decorators import EVENT_ATTRIBUTE
from django_moloco_rmp.events import Event, EventType
from django_moloco_rmp.signals import event_dropped, event_recorded
from django_moloco_rmp.wire import to_wire

_REASONS = {
    "invalid": gettext_lazy("The event is invalid."),
    "consent": gettext_lazy("MOLOCO_RMP['CONSENT'] said that the shopper is not tracked."),
    "unidentified": gettext_lazy("There is no identifier for the shopper."),
    "bot": gettext_lazy("The user agent is that of a bot, see MOLOCO_RMP['IGNORE_BOTS']."),
    "prefetch": gettext_lazy("The browser fetched the page ahead of time."),
    "head": gettext_lazy("A HEAD request shows nothing to a shopper."),
    "disabled": gettext_lazy("MOLOCO_RMP['ENABLED'] is False."),
    "database": gettext_lazy("The database could not write it."),
    "configuration": gettext_lazy("The settings are at fault, see manage.py check."),
    "async": gettext_lazy("track() was called inside a running event loop: await atrack(...)."),
    "overflow": gettext_lazy("The buffer is full: the database has not taken events for long."),
    "error": gettext_lazy("Reporting failed in an unforeseen way, see the log."),
}


@dataclass(slots=True)
class _Reported:
    event_type: str
    page_id: str
    destination: str
    using: str
    milliseconds: float
    body: str


@dataclass(slots=True)
class _Missing:
    event_type: str
    reason: str
    detail: str


@dataclass(slots=True)
class _Record:
    """What one request did."""

    reported: list[_Reported] = field(default_factory=list)
    missing: list[_Missing] = field(default_factory=list)
    seconds: float = 0.0


# Of the request that is being answered, in whatever thread; None where the panel is off.
_current: ContextVar[_Record | None] = ContextVar("moloco_panel", default=None)


def _collect(
    sender: Any, event: Event, destination: str, using: str, seconds: float, **_: Any
) -> None:
    record = _current.get()
    if record is not None:
        body = json.dumps(to_wire(event), indent=2, ensure_ascii=False)
        milliseconds = round(seconds * 1000, 2)
        record.reported.append(
            _Reported(
                event.event_type.value,
                event.page_id or "",
                destination,
                using,
                milliseconds,
                body,
            )
        )
        record.seconds += seconds


def _collect_dropped(sender: Any, reason: str, detail: str, seconds: float, **_: Any) -> None:
    record = _current.get()
    if record is not None:
        text = str(_REASONS.get(reason, reason))
        record.missing.append(_Missing(str(sender or ""), text, detail))
        record.seconds += seconds


class MolocoPanel(Panel):
    """
    The events of a request with their bodies, why others were not reported, and the time it took.

    Add ``"django_moloco_rmp.contrib.debug_toolbar.MolocoPanel"`` to DEBUG_TOOLBAR_PANELS.
    """

    is_async = True
    title = gettext_lazy("Moloco events")
    nav_title = gettext_lazy("Moloco")
    template = "moloco_rmp/debug_toolbar_panel.html"

    @classmethod
    def ready(cls) -> None:
        """Listen to what is reported; the toolbar calls it once when Django starts."""
        event_recorded.connect(_collect, dispatch_uid=__name__)
        event_dropped.connect(_collect_dropped, dispatch_uid=__name__)

    @property
    def nav_subtitle(self) -> str:
        """How many events, and the time."""
        stats = self.get_stats()
        count = len(stats.get("reported", ()))
        text = ngettext("%(count)d event", "%(count)d events", count) % {"count": count}
        if missing := len(stats.get("missing", ())):
            text += _(", %(count)d not reported") % {"count": missing}
        return f"{text}, {stats.get('milliseconds', 0)} ms"

    def enable_instrumentation(self) -> None:
        """Begin with a request."""
        self._record = _Record()
        _current.set(self._record)

    def disable_instrumentation(self) -> None:
        """End with a request."""
        _current.set(None)

    def generate_stats(self, request: HttpRequest, response: HttpResponseBase) -> None:
        """Store what the request did."""
        record = self._record
        seen = {each.event_type for each in record.reported}
        seen |= {each.event_type for each in record.missing}
        silent = [kind for kind in _promised(request) if kind not in seen]
        missing = record.missing + [_Missing(kind, _why(kind, response), "") for kind in silent]
        self.record_stats(
            {
                "reported": [asdict(each) for each in record.reported],
                "missing": [asdict(each) for each in missing],
                "milliseconds": round(record.seconds * 1000, 2),
                "is_off": is_switched_off(),
            }
        )

    def generate_server_timing(self, request: HttpRequest, response: HttpResponseBase) -> None:
        """Tell the browser how long reporting took."""
        stats = self.get_stats()
        self.record_server_timing("tracking", "Moloco tracking", stats["milliseconds"])


def _promised(request: HttpRequest) -> list[EventType]:
    """Return the types of event that the view's decorators report when it is a success."""
    view = request.resolver_match.func if request.resolver_match else None
    return [kind for kind in EventType if getattr(view, EVENT_ATTRIBUTE.format(kind), False)]


def _why(kind: EventType, response: HttpResponseBase) -> str:
    if is_switched_off():
        return str(_REASONS["disabled"])
    status = response.status_code
    if not 200 <= status < 300:
        text = _("The response has status %(status)d, and a decorator reports only 2xx.")
        return text % {"status": status}
    if kind is EventType.LAND:
        return _("The shopper did not come from another site.")
    if kind is EventType.SEARCH:
        return _("The query is blank.")
    return _("The decorated view did not return a response with status 2xx.")
