"""The default admin site, and one of a project's own whose steps and windows are small."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from django_moloco_rmp.admin import OutboxEventAdmin
from django_moloco_rmp.models import OutboxEvent


class SmallEventAdmin(OutboxEventAdmin):
    window_size = 4
    step_size = 3


small = admin.AdminSite(name="small")
small.register(OutboxEvent, SmallEventAdmin)

urlpatterns = [path("admin/", admin.site.urls), path("small/", small.urls)]
