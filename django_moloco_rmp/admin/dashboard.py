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

from django_moloco_rmp import runners
from django_moloco_rmp.admin import journal
from django_moloco_rmp.admin.choosing import PARAMETER, chosen
from django_moloco_rmp.backlog import Backlog
from django_moloco_rmp.gate import Gate, Held
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.outbox import default_alias
from django_moloco_rmp.protocol import State

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
        context = self._standing(request)
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

    def _standing(self, request: HttpRequest) -> dict[str, Any]:
        """Return how delivery stands, and what may be done about it."""
        # Each process of the shop loads this module, and hardly any of them shows the page.
        from django_moloco_rmp.admin.standing import standing  # noqa: PLC0415

        using = default_alias()
        about = chosen(request, using)
        events_url = self._url("outboxevent_changelist") if self._sees_events(request) else ""
        found = standing(
            using,
            about,
            request.GET.get("period", ""),
            events_url,
            most_counted=self.most_counted,
            most_looked_at=self.most_looked_at,
        )
        state = found["status"].state
        may_operate = self.may_operate(request)
        may_resend = request.user.has_perm("moloco_rmp.resend_event") and bool(events_url)
        return {
            **found,
            "destination": about,
            "destination_parameter": PARAMETER,
            "events_url": events_url,
            "may_pause": may_operate and state is not State.PAUSED,
            "may_resume": may_operate and state is State.PAUSED,
            "may_probe": may_operate and state in {State.BACKOFF, State.OPEN},
            "may_resend": may_resend and found["status"].backlog.rejected.count.number > 0,
            "buttons": {name: self._url("gate_operate", name) for name in _OPERATIONS},
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
        }

    def _sees_events(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("moloco_rmp.view_outboxevent"))
