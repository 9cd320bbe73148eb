"""A panel for django-debug-toolbar; the extra ``debug-toolbar`` installs it."""

from __future__ import annotations

from django_moloco_rmp.contrib.debug_toolbar.panel import MolocoPanel

__all__ = ["MolocoPanel"]
