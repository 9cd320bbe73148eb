from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import import_string


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self) -> None:
        # By path, as models cannot be imported before the apps are there.
        import_string("shop.adapters.connect_signals")()
