"""Sphinx settings: ``sphinx-build -W docs BUILD_FOLDER``, as the tox environment docs does."""

from __future__ import annotations

import os
from importlib.metadata import version as installed

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

project = "django-moloco-rmp"
author = "django-moloco-rmp contributors"
project_copyright = "django-moloco-rmp contributors"
release = version = installed("django-moloco-rmp")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.intersphinx"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# No inventories are fetched: a build must not depend on other people's servers.
intersphinx_mapping: dict[str, tuple[str, str | None]] = {}
autodoc_typehints = "none"
autodoc_member_order = "bysource"
nitpicky = False

html_theme = "furo"
html_title = "django-moloco-rmp"
html_show_sphinx = False
