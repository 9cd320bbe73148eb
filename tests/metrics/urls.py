from __future__ import annotations

from django.urls import include, path

from django_moloco_rmp.health import health

urlpatterns = [
    path("moloco/", include("django_moloco_rmp.urls")),
    path("elsewhere/<slug:using>/", health),
]
