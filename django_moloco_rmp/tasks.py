"""Where Celery, and others, look for an app's tasks."""

from __future__ import annotations

from contextlib import suppress

# Other task queues look here too, and may be there without Celery.
with suppress(ImportError):
    from django_moloco_rmp.runners.celery import drain as drain
