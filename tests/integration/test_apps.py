"""What the app does when Django starts, and what it leaves alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.test import override_settings
from django.utils.functional import Promise

from django_moloco_rmp import Item
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.signals import added_to_cart
from django_moloco_rmp.testing import capture_events

START = """
import json, sys, threading

import django
from django.conf import settings

import django_moloco_rmp.conf, django_moloco_rmp.decorators
from django_moloco_rmp import *
import django_moloco_rmp.middleware, django_moloco_rmp.signals

imported = {"configured": settings.configured, "models": "django_moloco_rmp.models" in sys.modules}
settings.configure(
    INSTALLED_APPS=["django_moloco_rmp"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()
from django.db import connection

started = {"threads": threading.active_count(), "connected": connection.connection is not None}
print(json.dumps(imported | started))
"""


def test_names_that_tables_and_migrations_hang_on() -> None:
    config = apps.get_app_config("moloco_rmp")
    assert (config.name, config.default_auto_field) == (
        "django_moloco_rmp",
        "django.db.models.BigAutoField",
    )
    assert OutboxEvent._meta.db_table == "moloco_rmp_outboxevent"


def test_texts_for_people_are_translatable() -> None:
    meta = OutboxEvent._meta
    texts = [
        apps.get_app_config("moloco_rmp").verbose_name,
        meta.verbose_name,
        meta.verbose_name_plural,
        *[field.verbose_name for field in meta.fields if field.name != "id"],
        *[field.help_text for field in meta.fields if field.help_text],
        *[state._label_ for state in OutboxEvent.State],
    ]
    assert len(texts) > len(meta.fields)
    assert [text for text in texts if not isinstance(text, Promise)] == []


# Some databases' checks of the models ask the database.
@pytest.mark.django_db(databases=["default", "other"])
def test_getting_ready_twice_doubles_nothing() -> None:
    apps.get_app_config("moloco_rmp").ready()
    with override_settings(MIDDLEWARE=[]):
        ids = [message.id for message in run_checks()]
    assert ids.count("moloco_rmp.W002") == 1
    with capture_events() as events:
        added_to_cart.send(
            sender=Item, items=[Item("lamp", quantity=1)], shopper={"persistent_id": "p"}
        )
    assert len(events) == 1


@pytest.mark.slow
def test_import_needs_no_settings_and_setup_starts_nothing() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", START], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "configured": False,
        "models": False,
        "threads": 1,
        "connected": False,
    }
