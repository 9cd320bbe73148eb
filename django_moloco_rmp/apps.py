"""The app: what happens once when Django starts."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _

from django_moloco_rmp import checks, receivers, runners


class MolocoConfig(AppConfig):
    """Registers checks and signal receivers; starts nothing."""

    name = "django_moloco_rmp"
    label = "moloco_rmp"
    verbose_name = _("Moloco RMP")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register checks and connect receivers."""
        register(checks.check_settings)
        register(checks.check_pages)
        register(checks.check_middleware)
        register(checks.check_threads)
        register(checks.check_runner)
        register(checks.check_cookie)
        register(checks.check_hash_key, deploy=True)
        receivers.connect()
        runners.prepare()
