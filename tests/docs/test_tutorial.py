"""The tutorial, followed to the letter by somebody with nothing but Python."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs/tutorial.md"
PATIENCE = 60.0
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

pytestmark = [pytest.mark.docs, pytest.mark.slow]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(*command: str | Path, cwd: Path, env: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=cwd, env=env, start_new_session=True)
    try:
        yield
    finally:
        # The development server runs in a child of its own.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens at {port}"
            time.sleep(0.1)
        else:
            return


class Person:
    """Somebody with a browser that keeps cookies and sends a referrer."""

    def __init__(self, shop: str) -> None:
        self._shop = shop
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self._browser = urllib.request.build_opener(cookies)
        self._browser.addheaders = [("User-Agent", BROWSER)]

    def look(self) -> str:
        page = self._browser.open(f"{self._shop}/", timeout=PATIENCE).read().decode()
        return re.findall(r'name="csrfmiddlewaretoken" value="(.+?)"', page)[0]

    def press(self, token: str) -> str:
        form = urlencode({"csrfmiddlewaretoken": token}).encode()
        request = urllib.request.Request(f"{self._shop}/buy/", form, {"Referer": f"{self._shop}/"})
        return self._browser.open(request, timeout=PATIENCE).read().decode()


def events(sandbox: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + PATIENCE
    url = f"{sandbox}/events"
    while len(found := json.loads(urllib.request.urlopen(url, timeout=PATIENCE).read())) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} events arrived"
        time.sleep(0.1)
    return [call["body"] for call in found]


def test_a_purchase_arrives(tmp_path: Path) -> None:
    text = TUTORIAL.read_text("utf-8")
    # The ports of the text may be taken here.
    sandbox_port, shop_port = free_port(), free_port()
    text = text.replace("127.0.0.1:8010", f"127.0.0.1:{sandbox_port}")
    files = dict(
        re.findall(r"```\{code-block\} python\n:caption: (\S+)\n\n(.*?)^```", text, re.M | re.S)
    )
    commands = re.findall(r"^\$ (.+)$", text, re.M)
    pip, *project, check, migrate, sandbox_command, shop_command = commands
    assert sandbox_command == "python manage.py moloco_sandbox"
    assert shop_command == "python manage.py runserver"
    assert pip == "python -m pip install django-moloco-rmp"

    env = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "DJANGO"))}
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    env |= {"PATH": f"{python.parent}{os.pathsep}{env['PATH']}"}
    install = [sys.executable, "-m", "pip", "-q", "wheel", "--no-deps", "-w", tmp_path, ROOT]
    subprocess.run(install, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([python, "-m", "pip", "-q", "install", wheel], check=True, env=env)

    folder = tmp_path
    for command in project:
        if command.startswith("cd "):
            folder /= command.removeprefix("cd ")
        else:
            subprocess.run(command.split(), cwd=folder, env=env, check=True)
    for name, content in files.items():
        path = folder / name
        before = path.read_text("utf-8") if name.endswith("settings.py") else ""
        path.write_text(before + content, "utf-8")
    for command in (check, migrate):
        subprocess.run(command.split(), cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)

    sandbox, shop = f"http://127.0.0.1:{sandbox_port}", f"http://127.0.0.1:{shop_port}"
    with (
        running(*sandbox_command.split(), f"--port={sandbox_port}", cwd=folder, env=env),
        running(*shop_command.split(), str(shop_port), cwd=folder, env=env),
    ):
        wait_for(sandbox_port)
        wait_for(shop_port)
        person = Person(shop)
        token = person.look()
        (view,) = events(sandbox, 1)
        assert person.press(token) == "Thank you"
        _, purchase = events(sandbox, 2)
        assert person.press(person.look()) == "Thank you"
        assert [each["event_type"] for each in events(sandbox, 3)] == [
            "ITEM_PAGE_VIEW",
            "PURCHASE",
            "ITEM_PAGE_VIEW",
        ]
    assert (view["event_type"], view["page_id"]) == ("ITEM_PAGE_VIEW", "PRODUCT_DETAIL_PAGE:book-1")
    assert purchase["id"] == "order-1"
    assert purchase["revenue"] == {"currency": "EUR", "amount": 12.9}
    assert purchase["page_id"] == "PRODUCT_DETAIL_PAGE:book-1"
