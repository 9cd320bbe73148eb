"""The sandbox as a server in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http.server import ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any, Self

from django_moloco_rmp.sandbox.handler import Handler, State
from django_moloco_rmp.sandbox.inbox import MAX_CALLS, Call, Inbox, Received
from django_moloco_rmp.sandbox.throttle import Throttle

# How long stop() waits for handlers whose connections it has closed, in seconds.
_STOP_SECONDS = 5


class SandboxServer:
    """
    A stand-in for the vendor's User Event API on a loopback address.

    A context manager; ``start()`` and ``stop()`` do the same. It runs in a daemon thread::

        with SandboxServer() as sandbox:
            ...  # send events to sandbox.url
            (event,) = sandbox.wait_for(1, timeout=5)
            assert event["status"] == 200

    ``port``: 0 takes a free one, and keeps it when started again. ``strict``: apply the rules, too,
    that no source states of the vendor's server. ``max_qps``: calls let through in a second; the
    429 for others asks to wait ``retry_after`` seconds, or says nothing of it. ``max_calls``: how
    many calls are kept. ``clock`` returns seconds since the epoch. Raises ValueError for a ``host``
    that others reach.
    """

    def __init__(
        self,
        platform_id: str = "SHOP_TEST",
        api_key: str = "test-key",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        strict: bool = False,
        max_qps: int | None = None,
        retry_after: int | None = None,
        max_calls: int = MAX_CALLS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._address = loopback_address(host), port
        throttle = Throttle(max_qps, clock, retry_after)
        inbox = Inbox(max_calls)
        self._state = State(platform_id, api_key, strict, clock, throttle, inbox)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, and answer from now on; raise OSError when the port cannot be had."""
        if self._server is not None:
            raise RuntimeError("the sandbox is running already")
        self._state.stopping.clear()
        self._server = _Server(self._address, self._state)
        self._address = self._address[0], self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            # How long stop() may take, at most, for the loop to notice.
            kwargs={"poll_interval": 0.05},
            name="moloco-sandbox",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Close all connections, delayed ones too, and the port; do nothing when not running."""
        if self._server is None or self._thread is None:
            return
        self._state.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections(_STOP_SECONDS)
        self._server.server_close()
        self._server = self._thread = None

    @property
    def url(self) -> str:
        """The origin to send events to, e.g. ``http://127.0.0.1:8010``: a value for BASE_URL."""
        host, port = self._address
        if not port:
            raise RuntimeError("the sandbox has no port until it is started")
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def platform_id(self) -> str:
        """The platform whose events are taken: a value for PLATFORM_ID."""
        return self._state.platform_id

    @property
    def api_key(self) -> str:
        """The key that is asked for: a value for API_KEY."""
        return self._state.api_key

    @property
    def max_qps(self) -> int | None:
        """How many calls are let through in a second; may be changed while it runs."""
        return self._state.throttle.max_qps

    @max_qps.setter
    def max_qps(self, value: int | None) -> None:
        self._state.throttle.max_qps = value

    def events(self) -> list[Received]:
        """Return the calls received, refused ones too, oldest first; at most the last 10,000."""
        return self._state.inbox.events()

    def calls(self) -> list[Call]:
        """Return the same as they are kept, unparsed and to the microsecond: for many of them."""
        return self._state.inbox.calls()

    def wait_for(self, count: int, timeout: float) -> list[Received]:
        """
        Return :meth:`events` as soon as there are ``count`` of them.

        Raises TimeoutError when they are fewer after ``timeout`` seconds.
        """
        return self._state.inbox.wait_for(count, timeout)

    def clear(self) -> None:
        """Forget the calls received."""
        self._state.inbox.clear()

    def fault(self, fault: Mapping[str, Any]) -> None:
        """Script a fault, in the form of ``POST /faults``; raise ValueError for a bad one."""
        self._state.faults.add(fault)

    def clear_faults(self) -> None:
        """Forget the faults that are still to come."""
        self._state.faults.clear()


def loopback_address(host: str) -> str:
    """Return the IP address to listen on; raise ValueError for any that others can reach."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise ValueError(
        f"{host}: the sandbox listens on loopback only (127.0.0.1, ::1, localhost). It shows the"
        " events of shoppers to whoever asks, so no other machine may reach it."
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    # Else two servers could share a port, and each would get half of the events.
    allow_reuse_port = False

    def __init__(self, address: tuple[str, int], state: State) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._connections: set[Any] = set()
        self._closed = threading.Condition()
        super().__init__(address, type("StatefulHandler", (Handler,), {"state": state}))

    def server_bind(self) -> None:
        # Not HTTPServer's, which looks the host's name up.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._closed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._closed:
            self._connections.discard(request)
            self._closed.notify_all()

    def close_connections(self, timeout: float) -> None:
        """End all connections; wait up to ``timeout`` seconds for their threads to notice."""
        with self._closed:
            for connection in self._connections:
                _end(connection)
            self._closed.wait_for(lambda: not self._connections, timeout)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients come and go; only what is a mistake of ours is worth a traceback.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _end(connection: Any) -> None:
    # The client, or the handler's thread, may be faster.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
