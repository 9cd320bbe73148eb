"""
A server that takes whatever is posted to it and says 200, in a process of its own.

It understands just enough HTTP/1.1 to cost little: what is measured shares the machine with it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Self

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class _Connection(asyncio.Protocol):
    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (length := self._request_length()) is not None:
            if len(self._received) < length:
                return
            del self._received[:length]
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._answer)
            else:
                self._answer()

    def _request_length(self) -> int | None:
        head, separator, _ = bytes(self._received).partition(b"\r\n\r\n")
        if not separator:
            return None
        _, _, rest = head.lower().partition(b"content-length:")
        return len(head) + 4 + int(rest.split(b"\r\n", 1)[0] or 0)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


async def _serve(delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        # Until the benchmark lets go of this end.
        await loop.run_in_executor(None, sys.stdin.read)


class Sink:
    """
    A context manager: the server's process.

    :param delay: seconds before each answer
    """

    def __init__(self, delay: float = 0.0) -> None:
        self._delay = delay

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sink", str(self._delay)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
