"""The default admin site, and ones of a project's own: small limits and windows, or one page."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from django_moloco_rmp.admin import ChecklistAdmin, DashboardAdmin, OutboxEventAdmin
from django_moloco_rmp.models import Gate, HourlyCount, OutboxEvent


class SmallEventAdmin(OutboxEventAdmin):
    window_size = 4
    step_size = 3
    most_counted = 8


class SmallDashboardAdmin(DashboardAdmin):
    most_counted = 4
    most_looked_at = 2


small = admin.AdminSite(name="small")
small.register(OutboxEvent, SmallEventAdmin)
small.register(Gate, SmallDashboardAdmin)

gates = admin.AdminSite(name="gates")
gates.register(Gate, DashboardAdmin)

counts = admin.AdminSite(name="counts")
counts.register(HourlyCount, ChecklistAdmin)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("small/", small.urls),
    path("gates/", gates.urls),
    path("counts/", counts.urls),
]
