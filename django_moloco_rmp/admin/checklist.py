"""The integration checklist: is all there that Moloco asks for, and what is missing."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings as django_settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.translation import gettext

from django_moloco_rmp import conf
from django_moloco_rmp.admin.charts import STRIP
from django_moloco_rmp.admin.choosing import PARAMETER, chosen
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
from django_moloco_rmp.admin.figures import number
from django_moloco_rmp.admin.scenarios import Delivered, Tick, delivered, ticks
from django_moloco_rmp.choices import EventType
from django_moloco_rmp.counts import KEPT
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import Gate as GateRow
from django_moloco_rmp.outbox import default_alias
from django_moloco_rmp.protocol import SECOND

_SAMPLE = ("sample_events", "sample_identifiers", "sample_most")


class ChecklistAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The hourly counts, read as a checklist."""

    class Media:
        css: ClassVar = {"all": ("moloco_rmp/admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False."""
        return False

    def get_urls(self) -> list[Any]:
        """Return the page, under the name that the admin's index looks for."""
        view = self.admin_site.admin_view(self.changelist_view)
        return [path("", view, name="moloco_rmp_hourlycount_changelist")]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the checklist."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        using = default_alias()
        about = chosen(request, using)
        gate = Gate(using, about.name)
        now = gate.look().now
        found = delivered(using, about.name)
        everything = total(found)
        row = (
            GateRow._base_manager.using(using)
            .values(*_SAMPLE, "reason", "last_success_at")
            .get(pk=about.name)
        )
        ticked = [_shown(tick, now) for tick in ticks(found)]
        open_ones = [each for each in ticked if each["state"] == "open"]
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Integration checklist"),
            "opts": self.opts,
            "cl": {"opts": self.opts},
            "media": self.media,
            "actions_on_top": True,
            "destination": about,
            "destination_parameter": PARAMETER,
            "ticks": ticked,
            "done": sum(1 for each in ticked if each["state"] == "done"),
            "open": len(open_ones),
            "days": KEPT // 24,
            "total": number(everything.count),
            "measures": measures(everything),
            "types": [_type(name, found[name]) for name in _names(found)],
            "strip": STRIP,
            "findings": [
                _pairing(about.name, row["reason"], row["last_success_at"]),
                identifiers(*(row[name] for name in _SAMPLE)),
            ],
            "dashboard_url": self._dashboard_url(),
            **(extra_context or {}),
        }
        template = "admin/moloco_rmp/hourlycount/change_list.html"
        return TemplateResponse(request, template, context)

    def _dashboard_url(self) -> str:
        """Return its address, blank where this site has none."""
        try:
            return reverse("admin:moloco_rmp_gate_changelist", current_app=self.admin_site.name)
        except NoReverseMatch:
            return ""


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
