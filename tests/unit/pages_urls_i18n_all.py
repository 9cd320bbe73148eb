"""URLs of a shop for test_pages, with a prefix for each language."""

from __future__ import annotations

from django.conf.urls.i18n import i18n_patterns
from django.urls import path

from tests.unit.pages_urls import plain, product

urlpatterns = [
    path("cart/add/", plain),
    *i18n_patterns(path("p/<slug:slug>/", product), path("plain/", plain)),
]
