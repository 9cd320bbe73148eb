"""The default admin site, and one of a project's own whose steps, windows and limits are small."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from django_moloco_rmp.admin import DashboardAdmin, OutboxEventAdmin
from django_moloco_rmp.models import Gate, OutboxEvent


class SmallEventAdmin(OutboxEventAdmin):
    window_size = 4
    step_size = 3


class SmallDashboardAdmin(DashboardAdmin):
    most_counted = 4
    most_looked_at = 2


small = admin.AdminSite(name="small")
small.register(OutboxEvent, SmallEventAdmin)
small.register(Gate, SmallDashboardAdmin)

urlpatterns = [path("admin/", admin.site.urls), path("small/", small.urls)]
