"""
Settings of the example shop.

Everything that differs between machines is an environment variable, read with django-environ. With
none set the shop runs on this machine in debug mode, and sends its events to the sandbox that
``python -m django_moloco_rmp.sandbox`` starts.
"""

from __future__ import annotations

from pathlib import Path

import environ

from django_moloco_rmp.conf import from_env

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DEBUG = env.bool("DEBUG", default=True)
# Good enough for this machine; in production these have to be given.
SECRET_KEY = env.str("SECRET_KEY", default="not a secret" if DEBUG else env.NOTSET)
PAYMENT_SECRET = env.str("PAYMENT_SECRET", default="not a secret" if DEBUG else env.NOTSET)
# A bank that believes whoever clicks on "Pay".
TEST_BANK = env.bool("TEST_BANK", default=DEBUG)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR}/shop.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_moloco_rmp",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_moloco_rmp.middleware.MolocoMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

MOLOCO_RMP = {
    # What the sandbox takes by default.
    "BASE_URL": "http://127.0.0.1:8010",
    "PLATFORM_ID": "SHOP_TEST",
    "API_KEY": "test-key",
    "DEFAULT_CURRENCY": "EUR",
    "RAISE_ERRORS": DEBUG,
    # Views that are not ours to decorate, or whose template reports the event.
    "PAGES": {
        "shop:about": "ABOUT_PAGE",
        "shop:login": "LOGIN_PAGE",
        "shop:bank": "PAYMENT_PAGE",
    },
    # MOLOCO_RMP_PLATFORM_ID, MOLOCO_RMP_API_KEY and so on take precedence.
    **from_env(),
}

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.context.header",
            ],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "shop:login"
LOGIN_REDIRECT_URL = "shop:account"
LOGOUT_REDIRECT_URL = "shop:home"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "Europe/Copenhagen"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static"
