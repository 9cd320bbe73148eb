"""
URLs for a project to include, where and behind what it likes::

    path("moloco/", include("django_moloco_rmp.urls"))
"""

from __future__ import annotations

from django.urls import path

from django_moloco_rmp.health import health

app_name = "moloco_rmp"
urlpatterns = [path("health/", health, name="health")]
