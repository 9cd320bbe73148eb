"""
The admin: kept events, the dashboard of delivery, and the integration checklist.

They are on Django's default admin site. On a site of your own, register the models with these
classes::

    site.register(OutboxEvent, OutboxEventAdmin)
    site.register(Gate, DashboardAdmin)
    site.register(HourlyCount, ChecklistAdmin)
"""

from __future__ import annotations

from django.contrib import admin

from django_moloco_rmp.admin.checklist import ChecklistAdmin
from django_moloco_rmp.admin.dashboard import DashboardAdmin
from django_moloco_rmp.admin.events import OutboxEventAdmin
from django_moloco_rmp.models import Gate, HourlyCount, OutboxEvent

__all__ = ["ChecklistAdmin", "DashboardAdmin", "OutboxEventAdmin"]

admin.site.register(OutboxEvent, OutboxEventAdmin)
admin.site.register(Gate, DashboardAdmin)
admin.site.register(HourlyCount, ChecklistAdmin)
