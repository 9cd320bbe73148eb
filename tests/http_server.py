"""A real HTTP server on loopback that answers as it is told and remembers what it was asked."""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it came in. ``peer`` is the client's end of the connection."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    peer: tuple[str, int]


@dataclass(slots=True)
class Answer:
    """
    One answer. With ``raw``, the exact bytes piece by piece instead, and then the connection is
    closed unless ``keep_alive``. An empty ``raw`` is a connection dropped without an answer.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: Iterable[bytes] | None = None
    keep_alive: bool = False
    #: Set once the last piece of ``raw`` was written; never when the client went away before.
    written: threading.Event = field(default_factory=threading.Event)
    #: Set when nothing more will be written, for either reason.
    ended: threading.Event = field(default_factory=threading.Event)


class ScriptedServer:
    """
    Context manager: serves on a free port of 127.0.0.1 in daemon threads.

    Each request takes the next of ``answers``; after the last one it is an empty 200.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answers = deque(answers)
        self.requests: list[Request] = []
        self._server = _Server(self, tls)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        scheme = "http" if tls is None else "https"
        self.port: int = self._server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def connections(self) -> int:
        """How many connections brought a request."""
        return len({request.peer for request in self.requests})

    def take(self, request: Request) -> Answer:
        """Record a request and return its answer."""
        self.requests.append(request)
        return self.answers.popleft() if self.answers else Answer()


class _Server(ThreadingHTTPServer):
    def __init__(self, script: ScriptedServer, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = script
        self.tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is not None:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:  # the client does not trust us
                return
        with request:
            super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is part of the script."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Headers and body in one packet: otherwise the client's delayed ACK costs 40 ms per answer.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_CONNECT(self) -> None:
        """Answer as to a POST: the script is a proxy's."""
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(
            self.command, self.path, dict(self.headers.items()), body, self.client_address
        )
        answer = self.server.script.take(request)
        try:
            if answer.raw is None:
                self._answer(answer)
            else:
                self.close_connection = not answer.keep_alive
                for piece in answer.raw:
                    self.wfile.write(piece)
                    self.wfile.flush()
            answer.written.set()
        finally:
            answer.ended.set()

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in {204, 304}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the output of the tests clean."""
