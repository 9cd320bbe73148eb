"""The integration checklist: is all there that Moloco asks for, and what is missing."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, path, reverse
from django.utils.translation import gettext

from django_moloco_rmp.admin.choosing import PARAMETER, chosen
from django_moloco_rmp.outbox import default_alias


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
        # Each process of the shop loads this module, and hardly any of them shows the page.
        from django_moloco_rmp.admin.review import review  # noqa: PLC0415

        using = default_alias()
        about = chosen(request, using)
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
            **review(using, about.name),
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
