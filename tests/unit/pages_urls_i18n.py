"""URLs of a shop for test_pages, with a prefix for each language but the default one."""

from __future__ import annotations

from django.conf.urls.i18n import i18n_patterns
from django.urls import path

from tests.unit.pages_urls import home, plain, product

urlpatterns = i18n_patterns(
    path("", home),
    path("p/<slug:slug>/", product),
    path("plain/", plain),
    path("cart/add/", plain),
    prefix_default_language=False,
)
