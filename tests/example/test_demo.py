"""``python example_project/manage.py demo``, and the example project's own health."""

from __future__ import annotations

import re
import secrets
import signal
from pathlib import Path

import pytest
import requests

from tests.example.demo import manage, started, until

pytestmark = [pytest.mark.example, pytest.mark.slow]


def signed_in(url: str, name: str, password: str) -> str:
    """The page of the admin at an address, for somebody who signs in on the way."""
    with requests.Session() as browser:
        form = browser.get(url, timeout=20)
        token = re.findall(r'name="csrfmiddlewaretoken" value="(.+?)"', form.text)[0]
        fields = {"username": name, "password": password, "csrfmiddlewaretoken": token}
        return browser.post(form.url, fields, headers={"Referer": form.url}, timeout=20).text


def test_the_demo_shows_every_event_passes_and_ends_with_ctrl_c() -> None:
    with started("demo", "--serve", COLUMNS="80") as demo:
        lines = list(until(demo.stdout, "Ctrl-C ends both"))
        (shop, sandbox, admin, health) = (line.split()[1] for line in lines if "http://" in line)
        for url in (shop, sandbox):
            assert requests.get(url, timeout=20).status_code == 200
        assert requests.get(health, timeout=20).json()["status"] == "ok"
        (signing_in,) = (line.split() for line in lines if line.strip().startswith("sign in as"))
        assert "<title>Dashboard | " in signed_in(admin, signing_in[3], signing_in[5])
        demo.send_signal(signal.SIGINT)
        rest, errors = demo.communicate(timeout=20)
    assert (demo.returncode, rest.strip(), errors) == (0, "Stopped.", "")
    with pytest.raises(requests.ConnectionError):
        requests.get(shop, timeout=20)
    assert max(map(len, lines)) <= 80
    verdicts = [line for line in lines if line.startswith(("PASS", "FAIL"))]
    assert len(verdicts) == 8
    assert all(line.startswith("PASS") for line in verdicts)
    assert [line.split()[0] for line in lines if line.endswith(" 200")] == [
        *("LAND", "HOME", "HOME", "HOME"),
        *("SEARCH", "PAGE_VIEW", "ITEM_PAGE_VIEW"),
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
