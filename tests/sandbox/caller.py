"""Calls to a sandbox over HTTP, as a client of the vendor makes them."""

from __future__ import annotations

import socket
from typing import Any

import requests

from django_moloco_rmp.sandbox import SandboxServer
from tests.sandbox.vectors import own_body

#: A moment after the vectors' own, in seconds.
NOW = 1_760_000_000.0


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Caller:
    """One keep-alive connection, with the right key."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["X-API-Key"] = "test-key"

    def events_url(self, platform_id: str = "SHOP_TEST") -> str:
        return f"{self.sandbox.url}/rmp/event/v1/platforms/{platform_id}/userevents"

    def post(self, body: Any = None, **options: Any) -> requests.Response:
        """POST an event, a valid one unless it is given."""
        json = own_body({"body": "home"}) if body is None else body
        return self.session.post(self.events_url(), json=json, timeout=10, **options)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.sandbox.url + path, timeout=10, **options)


def exchange(sandbox: SandboxServer, sent: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes over a connection of their own; return all that comes back until it is closed."""
    host, port = sandbox.url.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(sent)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return received
