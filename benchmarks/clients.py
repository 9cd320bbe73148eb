"""
Clients that ask a server for pages, each by a connection that it keeps.

They understand just enough HTTP/1.1 to cost little: what is measured shares the machine with them.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

_PATIENCE = 60.0


class Client:
    """One of them."""

    def __init__(self, port: int, headers: str) -> None:
        self._headers = headers
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str) -> None:
        """
        Ask for a page, and read it to its end.

        :raises RuntimeError: it is no page
        """
        self._socket.sendall(f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{path}: {head.decode()}")
        length = int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0])
        left = length - len(body)
        while left > 0:
            left -= len(self._more())

    def _more(self) -> bytes:
        found = self._socket.recv(65536)
        if not found:
            raise RuntimeError("the server hung up")
        return found

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def visit(
    port: int, paths: Sequence[str], headers: Sequence[str], *, pages: int, gap: float
) -> tuple[float, list[int]]:
    """
    Have one client for each of the headers ask for pages, one after the other.

    :param pages: of all clients together
    :param gap: seconds between an answer and the next question of a client
    :return: seconds that it took, and the nanoseconds that each page took
    """

    def ask(client: Client, first: int) -> list[int]:
        times = []
        for number in range(first, pages, len(headers)):
            begun = time.perf_counter_ns()
            client.get(paths[number % len(paths)])
            times.append(time.perf_counter_ns() - begun)
            if gap:
                time.sleep(gap)
        return times

    clients = [Client(port, each) for each in headers]
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as pool:
        times = [*chain.from_iterable(pool.map(ask, clients, range(len(clients))))]
    seconds = time.perf_counter() - begun
    for each in clients:
        each.close()
    return seconds, times
