"""What the sandbox's two command lines have in common."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from django_moloco_rmp.sandbox.server import SandboxServer, loopback_address

DESCRIPTION = """\
A stand-in for Moloco's User Event API on this machine. It judges the events it
is sent by the rules that Moloco has published and keeps them in memory, nothing
else: no event leaves this machine. Open its address in a browser to see events
as they arrive."""

EPILOG = """\
To send a shop's events here, set BASE_URL in MOLOCO_RMP to the address that is
printed, and PLATFORM_ID and API_KEY to those of the sandbox.

  GET /              a page that shows events as they arrive
  GET /events        what was received: a JSON list, oldest first, of the last
                     10,000 calls: received_at, status (0: connection dropped
                     before accepting), body
  DELETE /events     forget it
  POST /faults       make the next calls fail, e.g. {"status": 503, "count": 5},
                     {"delay": 3}, {"drop": "before"}, {"drop": "after"}
  GET /faults        the faults that are left
  DELETE /faults     call them off

Ctrl-C ends it."""

_API_KEY = "test-key"


class Stream(Protocol):
    """Where the command line writes to."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


def add_arguments(
    parser: argparse.ArgumentParser, *, platform_id: str = "SHOP_TEST", api_key: str = _API_KEY
) -> None:
    """Add the sandbox's options, with these defaults, to a parser. The key is not shown in help."""
    parser.add_argument(
        "--host",
        type=_loopback,
        default="127.0.0.1",
        help="loopback address to listen on (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=8010,
        help="port to listen on, 0 for a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--platform-id",
        default=platform_id,
        metavar="ID",
        help="the one platform there is; calls for others get 404 (default: %(default)s)",
    )
    parser.add_argument(
        "--api-key",
        default=api_key,
        metavar="KEY",
        help="the key that calls have to bring; others get 403"
        f" (default: {api_key if api_key == _API_KEY else 'API_KEY of the settings'})",
    )
    parser.add_argument(
        "--max-qps",
        type=_positive,
        metavar="N",
        help="answer 429 to more than N calls in any one second (default: no limit)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse, too, what Moloco's server may or may not accept, e.g. a purchase without"
        " revenue or a quantity sent as text",
    )


def run(options: argparse.Namespace, *, stdout: Stream, stderr: Stream) -> int:
    """
    Run a sandbox until SIGINT or SIGTERM; return the exit status.

    ``options`` are those of :func:`add_arguments`.
    """
    sandbox = SandboxServer(
        options.platform_id,
        options.api_key,
        host=options.host,
        port=options.port,
        strict=options.strict,
        max_qps=options.max_qps,
    )
    with _stop_signal() as stopped:
        try:
            sandbox.start()
        except OSError as error:
            stderr.write(
                f"Cannot listen on {options.host} port {options.port}: {error.strerror}."
                " Choose another with --port.\n"
            )
            return 1
        stdout.write(
            f"Sandbox ready at {sandbox.url}/ for platform {options.platform_id}\n"
            f'Send events to it with MOLOCO_RMP["BASE_URL"] = "{sandbox.url}". Ctrl-C ends it.\n'
        )
        # Who starts it as a process reads the address from a pipe.
        stdout.flush()
        # In steps, because Windows does not let Ctrl-C interrupt a wait without an end.
        while not stopped.wait(1):
            pass
        sandbox.stop()
        stdout.write("Sandbox ended\n")
    return 0


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """Yield an event that SIGINT or SIGTERM sets, as long as the block lasts."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _loopback(text: str) -> str:
    try:
        return loopback_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1")
    return int(text)
