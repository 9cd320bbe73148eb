"""``python example_project/manage.py demo``, and the example project's own health."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from django_moloco_rmp import EventType
from tests.example.demo import manage

pytestmark = pytest.mark.slow

TYPES = set(EventType)


def test_the_demo_shows_every_event_and_passes() -> None:
    done = manage("demo")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    verdicts = [line for line in lines if line.startswith(("PASS", "FAIL"))]
    assert len(verdicts) == 8
    assert all(line.startswith("PASS") for line in verdicts)
    firsts = ([word for word in line.split()[:2] if word in TYPES] for line in lines)
    assert [words[0] for words in firsts if words] == [
        *("LAND", "HOME", "SEARCH", "PAGE_VIEW", "ITEM_PAGE_VIEW"),
        *("ADD_TO_CART", "PAGE_VIEW", "PAGE_VIEW", "PAGE_VIEW", "ITEM_PAGE_VIEW"),
        *("ADD_TO_WISHLIST", "PAGE_VIEW", "ADD_TO_CART", "PAGE_VIEW", "PAGE_VIEW"),
        *("PURCHASE", "PAGE_VIEW", "HOME"),
    ]


def test_with_a_wrong_key_the_demo_fails_and_says_why() -> None:
    done = manage("demo", "--api-key", "no-such-key")
    assert done.returncode == 1
    assert "FAIL  each was accepted at the first try" in done.stdout
    assert "was answered 403" in done.stdout
    # The shop's own log is part of what is shown. It does not hold the key.
    assert "no-such-key" not in done.stdout + done.stderr


def test_the_example_is_a_healthy_project(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/shop.sqlite3"
    checked = manage("check", "--fail-level", "WARNING")
    assert (checked.returncode, checked.stderr) == (0, "")
    migrations = manage("makemigrations", "--check", "--dry-run", DATABASE_URL=database)
    assert migrations.returncode == 0, migrations.stdout


def test_in_production_its_tracking_is_fit_for_it() -> None:
    checked = manage(
        "check",
        "--deploy",
        DEBUG="False",
        SECRET_KEY=secrets.token_urlsafe(60),
        PAYMENT_SECRET="p",
        MOLOCO_RMP_PLATFORM_ID="SHOP",
        MOLOCO_RMP_API_KEY="k",
        MOLOCO_RMP_BASE_URL="https://shop-evt.rmp-api.moloco.com",
        MOLOCO_RMP_HASH_KEY=secrets.token_urlsafe(48),
    )
    assert checked.returncode == 0
    assert "moloco_rmp." not in checked.stderr
