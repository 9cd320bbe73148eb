"""The shop for ASGI servers: as Django has it, and with the drain."""

from __future__ import annotations

from django.core.asgi import get_asgi_application

from django_moloco_rmp.asgi import with_drain

plain = get_asgi_application()
application = with_drain(plain)
