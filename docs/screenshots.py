"""Take the pictures in docs/images.

    python docs/screenshots.py

Starts the example shop's demo and photographs the sandbox, as it shows the demo's events, the shop,
and the pages of the admin, in light and dark and in an outage. Needs Playwright, and a Chromium on
PATH or its path in CHROMIUM.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 300_000
VIEW = {"width": 1280, "height": 800}
SHARPNESS = 1.5


@contextmanager
def demo() -> Iterator[dict[str, str]]:
    """Addresses and the admin's login, once the demo has walked through the shop."""
    command = [sys.executable, ROOT / "example_project" / "manage.py", "demo", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = {}
            for line in process.stdout:
                name, _, address = line.partition(":")
                if name in {"Shop", "Sandbox", "Admin"}:
                    found[name] = address.strip()
                if login := re.search(r"sign in as (\S+) with (\S+)", line):
                    found["name"], found["password"] = login.groups()
                    break
            else:
                sys.exit("The demo did not start; run it by itself to see why.")
            yield found
        finally:
            process.terminate()


def fault(address: dict[str, str], **answer: Any) -> None:
    """Have the sandbox answer the next calls so."""
    body = json.dumps(answer).encode()
    request = Request(f"{address['Sandbox']}faults", body, {"Content-Type": "application/json"})
    urlopen(request).close()


def admin(browser: Any, address: dict[str, str], scheme: str) -> Any:
    """A page on which the admin's dashboard is open."""
    page = browser.new_page(viewport=VIEW, device_scale_factor=SHARPNESS, color_scheme=scheme)
    page.goto(address["Admin"])
    page.get_by_label("Username").fill(address["name"])
    page.get_by_label("Password").fill(address["password"])
    page.get_by_role("button", name="Log in").click()
    return page


def photograph_admin(browser: Any, address: dict[str, str]) -> None:
    """Dashboard, checklist, list and event in light and dark, and an outage."""
    shop = browser.new_page()
    message = {"message": "page_id: no such page in the catalogue"}
    fault(address, status=400, body=message, count=2)
    for path in ("category/lamps/", "category/ceramics/"):
        shop.goto(address["Shop"] + path)
    events = address["Admin"].replace("gate", "outboxevent")
    pages = {scheme: admin(browser, address, scheme) for scheme in ("light", "dark")}
    for scheme, page in pages.items():
        expect(page.get_by_role("button", name="Resend 2 rejected")).to_be_visible(timeout=30_000)
        page.screenshot(path=IMAGES / f"dashboard-{scheme}.png")
        page.goto(address["Admin"].replace("gate", "hourlycount"))
        page.screenshot(path=IMAGES / f"checklist-{scheme}.png")
        page.goto(f"{events}?state=rejected")
        page.screenshot(path=IMAGES / f"events-{scheme}.png")
        page.locator("#result_list tbody a").first.click()
        expect(page.get_by_role("heading", name="What is sent")).to_be_visible()
        page.screenshot(path=IMAGES / f"event-{scheme}.png", full_page=True)
    fault(address, status=503, count=5)
    for path in ("", "category/chairs/", "category/lamps/"):
        shop.goto(address["Shop"] + path)
    for scheme, page in pages.items():
        page.goto(address["Admin"])
        expect(page.get_by_text("Moloco cannot be reached")).to_be_visible(timeout=30_000)
        page.screenshot(path=IMAGES / f"outage-{scheme}.png")


def main() -> None:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("No chromium is on PATH; set CHROMIUM to a browser's path.")
    with demo() as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=VIEW, device_scale_factor=SHARPNESS)
        page.goto(address["Sandbox"])
        expect(page.locator("#connection")).to_have_text("Live")
        page.screenshot(path=IMAGES / "sandbox.png")
        page.goto(address["Shop"])
        page.screenshot(path=IMAGES / "shop.png")
        photograph_admin(browser, address)
        browser.close()
    for picture in sorted(IMAGES.glob("*.png")):
        size = picture.stat().st_size
        print(f"{picture.relative_to(ROOT)}: {size // 1000} kB")
        if size > MOST_BYTES:
            sys.exit(f"{picture.name} is too big for a README: make VIEW or SHARPNESS less")


if __name__ == "__main__":
    main()
