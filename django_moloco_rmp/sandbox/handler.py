"""One connection to the sandbox: HTTP in and out, and which call gets which answer."""

from __future__ import annotations

import contextlib
import hmac
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django_moloco_rmp.sandbox.answers import THROTTLED, Answer, error_answer, json_answer
from django_moloco_rmp.sandbox.faults import Fault, FaultScript
from django_moloco_rmp.sandbox.inbox import Inbox
from django_moloco_rmp.sandbox.page import page_file
from django_moloco_rmp.sandbox.rules import judge, parse
from django_moloco_rmp.sandbox.throttle import Throttle

#: The longest request body that is read, in bytes.
MAX_BODY = 1024 * 1024
# How much of a body that is too long is thrown away after the answer, and for how long: a
# connection closed on a client that is still sending would take the answer with it.
_MAX_DISCARDED = 64 * MAX_BODY
_DISCARD_SECONDS = 2

_EVENTS_PATH = re.compile("/rmp/event/v1/platforms/([^/]+)/userevents")


@dataclass(frozen=True, slots=True)
class State:
    """What all connections of one sandbox share."""

    platform_id: str
    api_key: str = field(repr=False)
    strict: bool
    clock: Callable[[], float]
    throttle: Throttle
    inbox: Inbox = field(default_factory=Inbox)
    faults: FaultScript = field(default_factory=FaultScript)
    #: Set when the server stops: it ends every delay.
    stopping: threading.Event = field(default_factory=threading.Event)


class DroppedError(Exception):
    """The connection is to be closed without an answer."""


class Handler(BaseHTTPRequestHandler):
    """Answers the calls of one connection. Subclassed with the ``state`` they are about."""

    state: State

    protocol_version = "HTTP/1.1"
    # Seconds without a byte after which an idle connection is closed.
    timeout = 75
    # Head and body leave in one packet, at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle_call(self) -> None:
        """Answer one request, whatever its method."""
        arrived = self.state.clock()
        content, problem = self._read()
        try:
            answer = self._refuse_strangers() or self._route(arrived, content, problem)
        except DroppedError:
            self.close_connection = True
            return
        if problem is not None:
            self.close_connection = True
        self._write(answer)
        if problem is not None:
            self._discard()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_call  # noqa: N815
    do_TRACE = do_CONNECT = handle_call  # noqa: N815

    def _read(self) -> tuple[bytes, Answer | None]:
        """Return the body, or the answer to one that cannot be read; the connection ends then."""
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or (not lengths and self.command == "POST"):
            return b"", error_answer(411, "send the body with a Content-Length, not in chunks")
        if not lengths:
            return b"", None
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,18}", lengths[0]):
            return b"", error_answer(400, "Content-Length must be one whole number")
        length = int(lengths[0])
        if length > MAX_BODY:
            return b"", error_answer(413, f"the body is longer than {MAX_BODY} bytes")
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
        content = self.rfile.read(length)
        if len(content) < length:
            raise ConnectionError("the client left before the end of the body")
        return content, None

    def _discard(self) -> None:
        self.wfile.flush()
        deadline = time.monotonic() + _DISCARD_SECONDS
        left = _MAX_DISCARDED
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_DISCARD_SECONDS)
            while left > 0 and time.monotonic() < deadline:
                chunk = self.connection.recv(65536)
                if not chunk:
                    return
                left -= len(chunk)

    def _refuse_strangers(self) -> Answer | None:
        """
        Refuse what a web page from elsewhere can make a browser send.

        Such a page may let its own name resolve to loopback (DNS rebinding), or post a form here.
        """
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not _is_loopback(f"//{hosts[0]}"):
            return error_answer(403, "the sandbox answers to loopback names only: see Host")
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{hosts[0]}":
            return error_answer(403, "the sandbox takes no calls from other sites: see Origin")
        return None

    def _route(self, arrived: float, content: bytes, problem: Answer | None) -> Answer:
        path, _, query = self.path.partition("?")
        platform = _EVENTS_PATH.fullmatch(path)
        if platform is not None:
            return self._user_event(unquote(platform[1]), arrived, content, problem)
        if problem is not None:
            return problem
        if path == "/events":
            return self._events()
        if path == "/faults":
            return self._faults(content)
        static = page_file(path)
        if static is None and path != "/live":
            return error_answer(404, "no such path")
        if self.command != "GET":
            return _not_allowed("GET")
        return static or self._live(query)

    def _user_event(
        self, platform_id: str, arrived: float, content: bytes, problem: Answer | None
    ) -> Answer:
        try:
            event = parse(content)
        except ValueError:
            event = None
        answer = self._refuse_caller(platform_id) or problem
        fault = None
        if answer is None:
            fault = self.state.faults.take(event) or Fault()
            answer = fault.answer() or self._judge(content, arrived)
        if self.command != "POST":
            return answer
        notes = [_message(answer)]
        status = answer.status
        if fault is not None:
            notes.append(fault.manner)
            if fault.drop == "before":
                status, notes = 0, [fault.manner]
        note = "; ".join(filter(None, notes))
        self.state.inbox.record(arrived, status, note, content, event)
        if fault is not None:
            self._suffer(fault)
        return answer

    def _refuse_caller(self, platform_id: str) -> Answer | None:
        """The vendor's own client tests expect this order: key, platform, then the rest."""
        key = self.headers.get("X-API-Key", "")
        if not key:
            return error_answer(401, "no API key: send it in the header X-API-Key")
        if not hmac.compare_digest(key.encode(), self.state.api_key.encode()):
            return error_answer(403, "this API key is not the sandbox's")
        if platform_id != self.state.platform_id:
            return error_answer(
                404, f"no platform {platform_id}; the sandbox has {self.state.platform_id}"
            )
        return None if self.command == "POST" else _not_allowed("POST")

    def _judge(self, content: bytes, arrived: float) -> Answer:
        throttle = self.state.throttle
        if not throttle.admit():
            seconds = throttle.retry_after
            headers = {} if seconds is None else {"Retry_After": str(seconds)}
            return error_answer(429, THROTTLED, **headers)
        verdict = judge(content, int(arrived * 1000), self.state.strict)
        if verdict.status == 200:
            return json_answer({})
        return error_answer(verdict.status, verdict.message)

    def _suffer(self, fault: Fault) -> None:
        # The stopping server ends the wait and closes the connection.
        if self.state.stopping.wait(fault.delay) or fault.drop is not None:
            raise DroppedError

    def _events(self) -> Answer:
        if self.command == "GET":
            return json_answer(self.state.inbox.events())
        if self.command == "DELETE":
            return json_answer({"deleted": self.state.inbox.clear()})
        return _not_allowed("GET, DELETE")

    def _faults(self, content: bytes) -> Answer:
        faults = self.state.faults
        if self.command == "POST":
            try:
                faults.add(parse(content))
            except ValueError as error:
                return error_answer(400, str(error))
        elif self.command == "DELETE":
            faults.clear()
        elif self.command != "GET":
            return _not_allowed("GET, POST, DELETE")
        return json_answer([fault.as_dict() for fault in faults.waiting()])

    def _live(self, query: str) -> Answer:
        asked = parse_qs(query)
        after = asked.get("after", ["0"])[-1]
        if not re.fullmatch("[0-9]{1,18}", after):
            return error_answer(400, "after: must be a whole number")
        state = self.state
        return json_answer(
            state.inbox.live(asked.get("generation", [""])[-1], int(after))
            | {
                "platform_id": state.platform_id,
                "strict": state.strict,
                "max_qps": state.throttle.max_qps,
                "faults": [
                    {"title": fault.title, "count": fault.count} for fault in state.faults.waiting()
                ],
            }
        )

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.wfile.write(answer.body)

    def handle_expect_100(self) -> bool:
        """Leave it to the reading of the body, which may have to refuse it."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what cannot be read as HTTP, in JSON instead of HTML; the connection ends."""
        self.close_connection = True
        # Not set yet when the request line itself is bad; end_headers() needs it.
        self.request_version = "HTTP/1.1"
        self.command = self.command or ""
        self._write(error_answer(code, message or self.responses[code][0]))

    def version_string(self) -> str:
        """Return the Server header: without the version of Python."""
        return "moloco-rmp-sandbox"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the page and ``GET /events`` tell what came in."""


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _not_allowed(methods: str) -> Answer:
    return error_answer(405, f"method not allowed; there is {methods}", Allow=methods)


def _message(answer: Answer) -> str:
    try:
        body = parse(answer.body)
    except ValueError:
        return ""
    message = body.get("message", "") if isinstance(body, dict) else ""
    return message if isinstance(message, str) else ""
