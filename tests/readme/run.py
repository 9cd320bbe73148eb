"""Executes the README's Python blocks as one shop, and prints the types of the events it emits.

python tests/readme/run.py README.md DATABASE_FILE
"""

from __future__ import annotations

import json
import re
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.http import HttpResponse, JsonResponse
from django.test import Client
from django.test.utils import setup_test_environment
from django.urls import path

from django_moloco_rmp.testing import capture_events

MODELS = ("Product", "CartLine", "Order")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def main(readme: Path, database: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", readme.read_text(encoding="utf-8"), re.M | re.S)
    configuration: dict[str, Any] = {}
    exec(blocks[0], configuration)
    sys.path.insert(0, str(Path(__file__).parent))
    settings.configure(
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "shop",
            *configuration["INSTALLED_APPS"],
        ],
        MIDDLEWARE=configuration["MIDDLEWARE"],
        MOLOCO_RMP={**configuration["MOLOCO_RMP"], "RAISE_ERRORS": True, "RELAY": "off"},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY="not a secret",
        ALLOWED_HOSTS=["testserver"],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [
                        ("django.template.loaders.locmem.Loader", {"product.html": "{{ product }}"})
                    ]
                },
            }
        ],
        ROOT_URLCONF="readme_urls",
        USE_TZ=True,
    )
    django.setup()
    setup_test_environment()
    call_command("migrate", run_syncdb=True, verbosity=0)
    shop: dict[str, Any] = {"__name__": "readme_shop"}
    for block in blocks[1:]:
        exec(block, shop)
    visit(shop)


def visit(shop: dict[str, Any]) -> None:
    product_model, line, order_model = map(apps.get_app_config("shop").get_model, MODELS)

    def cart(request: Any) -> HttpResponse:
        shop["add_to_cart"](request, product_model.objects.get())
        return HttpResponse()

    def checkout(request: Any) -> JsonResponse:
        return JsonResponse(request.moloco.freeze())

    urls = ModuleType("readme_urls")
    urls.urlpatterns = [  # type: ignore[attr-defined]
        path("product/<sku>/", shop["product"]),
        path("cart/", cart),
        path("checkout/", checkout),
    ]
    sys.modules["readme_urls"] = urls
    call_command("check")
    product = product_model.objects.create(sku="p-1", price=Decimal("19.90"))
    client = Client(headers={"user-agent": BROWSER})
    shop["test_product_page"](client, product)
    call_command("flush", interactive=False, verbosity=0)
    product = product_model.objects.create(sku="p-1", price=Decimal("19.90"))
    shop["test_what_moloco_gets"](client, product)

    with capture_events() as events:
        client.post("/cart/")
        frozen = client.get("/checkout/").json()
        order = order_model(shopper=frozen)
        shop["pay"](order, [line(product=product, quantity=2)])
        shop["pay"](order, [line(product=product, quantity=2)])
    print(
        json.dumps(
            [
                [event.event_type, str(event.revenue.amount) if event.revenue else None]
                for event in events
            ]
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
