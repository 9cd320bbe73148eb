"""Take the pictures in docs/images.

    python docs/screenshots.py

Starts the example shop's demo and photographs the sandbox, as it shows the demo's events, and the
shop. Needs Playwright, and a Chromium on PATH or its path in CHROMIUM.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 300_000
VIEW = {"width": 1280, "height": 800}
SHARPNESS = 1.5


@contextmanager
def demo() -> Iterator[dict[str, str]]:
    """The addresses of shop and sandbox, once the demo has walked through the shop."""
    command = [sys.executable, ROOT / "example_project" / "manage.py", "demo", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = {}
            for line in process.stdout:
                name, _, address = line.partition(":")
                if name in {"Shop", "Sandbox"}:
                    found[name] = address.strip()
                if len(found) == 2:
                    break
            else:
                sys.exit("The demo did not start; run it by itself to see why.")
            yield found
        finally:
            process.terminate()


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
        browser.close()
    for picture in sorted(IMAGES.glob("*.png")):
        size = picture.stat().st_size
        print(f"{picture.relative_to(ROOT)}: {size // 1000} kB")
        if size > MOST_BYTES:
            sys.exit(f"{picture.name} is too big for a README: make VIEW or SHARPNESS less")


if __name__ == "__main__":
    main()
