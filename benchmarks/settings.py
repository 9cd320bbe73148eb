"""
A small shop's settings, on the database that BENCH_DATABASE_URL names.

BENCH_LARGE_URL names a second one, BENCH_MOLOCO_RMP has keys of MOLOCO_RMP as JSON, and with
BENCH_WITHOUT_APP it is the same shop without the app.
"""

from __future__ import annotations

import json
import os

import environ

env = environ.Env()

DATABASES = {"default": env.db_url("BENCH_DATABASE_URL")}
if "BENCH_LARGE_URL" in os.environ:
    DATABASES["large"] = env.db_url("BENCH_LARGE_URL")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "signs nothing but the sessions of a benchmark"
ALLOWED_HOSTS = ["127.0.0.1", "shop.example"]
USE_TZ = True
ROOT_URLCONF = "benchmarks.shop"
_HAS_APP = os.environ.get("BENCH_WITHOUT_APP") is None
STATIC_URL = "static/"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "benchmarks",
    *(["django_moloco_rmp"] if _HAS_APP else []),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    *(["django_moloco_rmp.middleware.MolocoMiddleware"] if _HAS_APP else []),
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
MOLOCO_RMP = {
    "PLATFORM_ID": "SHOP_TEST",
    "API_KEY": "test-key",
    "HASH_KEY": "a key of 32 characters, and more",
    "DEFAULT_CURRENCY": "EUR",
    **json.loads(os.environ.get("BENCH_MOLOCO_RMP", "{}")),
}
