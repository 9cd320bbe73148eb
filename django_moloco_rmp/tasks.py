"""Where Celery, and others, look for an app's tasks."""

from __future__ import annotations

from importlib.util import find_spec

# Other task queues look here too, and may be there without Celery.
if find_spec("celery") is not None:
    from django_moloco_rmp.runners.celery import drain as drain
