"""Settings of the test suite.

TEST_DATABASE_URL chooses the database: ``postgres://user:password@host:port/name`` or
``mysql://...``; SQLite without it. Tests use the database ``test_<name>``. TEST_ISOLATION sets
MariaDB's isolation level ("read committed", which is also Django's default, or "repeatable read").
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import environ

env = environ.Env()


def database(alias: str) -> dict[str, Any]:
    """One entry of DATABASES: the same server for each alias, a test database of its own."""
    if "TEST_DATABASE_URL" not in os.environ:
        # A file, because threads and processes of a real shop meet in a file: SQLite's shared
        # memory databases, which Django would take for tests, lock by other rules.
        stem = Path(tempfile.gettempdir()) / f"moloco-rmp-{alias}-{os.getpid()}"
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": ":memory:",
            "TEST": {"NAME": f"{stem}.sqlite3"},
        }
    entry: dict[str, Any] = env.db_url("TEST_DATABASE_URL")
    suffix = "" if alias == "default" else f"_{alias}"
    entry["TEST"] = {"NAME": f"test_{entry['NAME']}{suffix}"}
    if entry["ENGINE"] == "django.db.backends.mysql":
        entry["TEST"]["CHARSET"] = "utf8mb4"
        if "TEST_ISOLATION" in os.environ:
            entry["OPTIONS"] = {"isolation_level": env.str("TEST_ISOLATION")}
    return entry


# "other" is there for everything that takes a database alias.
DATABASES = {"default": database("default"), "other": database("other")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SECRET_KEY = "not a secret: this key signs nothing but test sessions"
USE_TZ = True
# Not UTC, so that a time without a zone is wrong by hours where a test can see it.
TIME_ZONE = "Asia/Kolkata"
ROOT_URLCONF = "tests.urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django_moloco_rmp",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_moloco_rmp.middleware.MolocoMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
STATIC_URL = "static/"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

MOLOCO_RMP = {
    "PLATFORM_ID": "SHOP_TEST",
    "API_KEY": "test-key",
    "RAISE_ERRORS": True,
}
