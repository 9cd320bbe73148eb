"""The dashboard: how delivery stands, and what an operator can do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from django_moloco_rmp import conf, runners
from django_moloco_rmp.admin import journal
from django_moloco_rmp.admin.advice import drain, headline
from django_moloco_rmp.admin.choosing import PARAMETER, Chosen, chosen
from django_moloco_rmp.admin.durations import ago, moment, span
from django_moloco_rmp.admin.figures import LABELS, PERIODS, counted, figures, number
from django_moloco_rmp.admin.grouping import grouped
from django_moloco_rmp.admin.masks import masked_message
from django_moloco_rmp.backlog import Backlog
from django_moloco_rmp.counts import HOUR
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import default_alias
from django_moloco_rmp.protocol import State
from django_moloco_rmp.status import read_status

_MOST_GROUPS = 5
_REFRESH_SECONDS = 10


def _pause(held: Held) -> None:
    held.circuit = held.circuit.pausing(held.now)


def _resume(held: Held) -> None:
    held.circuit = held.circuit.resuming(held.now)


def _probe(held: Held) -> None:
    held.circuit = held.circuit.probing(held.now)


_OPERATIONS: dict[str, Callable[[Held], None]] = {
    "pause": _pause,
    "resume": _resume,
    "probe": _probe,
}


class DashboardAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A gate's row, as a page of its own."""

    #: A page that refreshes by itself counts and looks less far than moloco_status.
    most_counted = 50_000
    most_looked_at = 1_000

    class Media:
        css: ClassVar = {"all": ("moloco_rmp/admin.css",)}
        js: ClassVar = ("moloco_rmp/refresh.js",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: the circuit is operated, not edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False

    def may_operate(self, request: HttpRequest) -> bool:
        """Return whether a request's user may pause, resume and probe."""
        return bool(request.user.has_perm("moloco_rmp.operate_circuit"))

    def get_urls(self) -> list[Any]:
        """Return the page, under the name that the admin's index looks for, and its buttons."""
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="moloco_rmp_gate_changelist"),
            path(
                "<str:operation>/",
                view(require_POST(self.operate_view)),
                name="moloco_rmp_gate_operate",
            ),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the dashboard, or only what changes in it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        period = request.GET.get("period", "")
        context = self._standing(request, period if period in PERIODS else "day")
        request.current_app = self.admin_site.name
        if request.GET.get("fragment") == "1":
            response = TemplateResponse(request, "admin/moloco_rmp/gate/standing.html", context)
        else:
            context |= {
                **self.admin_site.each_context(request),
                "title": gettext("Dashboard"),
                "opts": self.opts,
                "cl": {"opts": self.opts},
                "media": self.media,
                "actions_on_top": True,
                "refresh_seconds": _REFRESH_SECONDS,
                "checklist_url": self._url("hourlycount_changelist"),
                **(extra_context or {}),
            }
            response = TemplateResponse(request, "admin/moloco_rmp/gate/change_list.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def operate_view(self, request: HttpRequest, operation: str) -> Any:
        """Pause, resume, or probe."""
        if not self.has_view_permission(request) or not self.may_operate(request):
            raise PermissionDenied
        using = default_alias()
        about = chosen(request, using)
        back = HttpResponseRedirect(f"{self._url('gate_changelist')}{about.first_query}")
        if about.is_another:
            # What was meant for one must not befall another.
            self.message_user(request, gettext("There is no such destination."), messages.WARNING)
            return back
        decide = _OPERATIONS.get(operation)
        if decide is None:
            self.message_user(request, gettext("There is no such button."), messages.WARNING)
            return back
        Gate(using, about.name).change(decide)
        if operation != "pause":
            Backlog(using, about.name).make_one_due()
            runners.wake(using, about.name)
        text = {
            "pause": gettext("Delivery is paused. Events are kept."),
            "resume": gettext("Delivery is resumed."),
            "probe": gettext("One event is tried now. If it is accepted, the others follow."),
        }[operation]
        what = f"{gettext('Delivery')}: {about.name}" if about.query else gettext("Delivery")
        journal.note(request, GateRow, what, text, key=about.name)
        self.message_user(request, text, messages.SUCCESS)
        return back

    def _url(self, name: str, *args: Any) -> str:
        """Return an address, blank where this site has no such page."""
        try:
            return reverse(f"admin:moloco_rmp_{name}", args=args, current_app=self.admin_site.name)
        except NoReverseMatch:
            return ""

    def _standing(self, request: HttpRequest, period: str) -> dict[str, Any]:
        """Return how delivery stands, for the template."""
        using = default_alias()
        about = chosen(request, using)
        problems = conf.problems()
        settings = None if problems else conf.get_settings()
        kept = Backlog(
            using,
            about.name,
            most_counted=self.most_counted,
            most_looked_at=self.most_looked_at,
        )
        status = read_status(using, about.name, backlog=kept)
        backlog = status.backlog
        now = Gate(using, about.name).look().now
        became = figures(using, about.name, period, now // HOUR)
        events_url = self._url("outboxevent_changelist") if self._sees_events(request) else ""
        is_new = not (
            status.delivered
            or status.rejected
            or backlog.pending.count.number
            or backlog.rejected.count.number
            or not became.is_empty
        )
        may_operate = self.may_operate(request)
        may_resend = request.user.has_perm("moloco_rmp.resend_event") and bool(events_url)
        is_paused = status.state is State.PAUSED
        return {
            "headline": headline(status, about.name, settings, problems, is_new=is_new),
            "destination": about,
            "destination_parameter": PARAMETER,
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
            "errors": self._errors(using, about, events_url),
            "last_error": masked_message(status.last_error),
            "last_error_ago": ago(status.last_error_ago),
            "events_url": events_url,
            "may_pause": may_operate and not is_paused,
            "may_resume": may_operate and is_paused,
            "may_probe": may_operate and status.state in {State.BACKOFF, State.OPEN},
            "may_resend": may_resend and backlog.rejected.count.number > 0,
            "buttons": {name: self._url("gate_operate", name) for name in _OPERATIONS},
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
        }

    def _sees_events(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("moloco_rmp.view_outboxevent"))

    def _errors(self, using: str, about: Chosen, events_url: str) -> dict[str, Any]:
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
