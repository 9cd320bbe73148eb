"""Django's own development server, with its reloader."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest
import requests

from django_moloco_rmp.sandbox import SandboxServer
from tests.processes.children import PATIENCE, ROOT, wait_until
from tests.processes.servers.serving import Server, ids, written

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.servers,
]


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(server: Server, path: str) -> bool:
    try:
        server.get(path)
    except requests.ConnectionError:
        return False
    return True


def test_events_before_and_after_a_reload_are_delivered(
    sandbox: SandboxServer, port: int, tmp_path: Path
) -> None:
    # A module of the shop that may be touched.
    module = tmp_path / "shop_settings.py"
    shutil.copy(ROOT / "tests/processes/servers/settings.py", module)
    server = Server(
        sys.executable,
        "-m",
        "django",
        "runserver",
        str(port),
        "--settings",
        "shop_settings",
        "--pythonpath",
        str(tmp_path),
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        port=port,
        BASE_URL=sandbox.url,
    )
    with server:
        wait_until(lambda: answers(server, "emit/PURCHASE/1/"))
        (before,) = server.pids
        server.get("emit/PAGE_VIEW/200/")

        def reloaded() -> bool:
            if not answers(server, "emit/PAGE_VIEW/1/"):
                return False
            if server.answers[-1]["pid"] != before:
                return True
            # The reloader takes no notice of what is touched before its first look round.
            module.touch()
            return False

        wait_until(reloaded)
        assert server.get("emit/PURCHASE/1/")["threads"] == 1
        # The process that watches the files reports nothing, and has no thread.
        assert server.process.pid not in server.pids
        last = server.emitted[-1]
        wait_until(lambda: last in ids(sandbox))
        # The other one ends with it.
        os.kill(server.answers[-1]["pid"], signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
    found = ids(sandbox) + written()
    # Some requests got their answer cut off by the reload.
    assert set(server.emitted) <= set(found)
    assert len(found) == len(set(found))
