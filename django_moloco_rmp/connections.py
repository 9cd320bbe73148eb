"""
Connections whose answers are bounded in time as a whole.

The read timeout of requests and urllib3 is one of each packet: a server that sends a byte in time,
again and again, would hold a call for as long as it likes.
"""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Mapping
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, PoolManager


class BoundedAdapter(HTTPAdapter):
    """
    An HTTPAdapter for whose answers, headers and body together, the read timeout is all.

    Each call has to have one, and a connect timeout, which bounds a proxy's answer to CONNECT.
    """

    def pool(
        self, request: PreparedRequest, *, verify: bool | str, proxies: Mapping[str, str]
    ) -> HTTPConnectionPool:
        """
        Return the connections that requests to this address go by: without a session, there are no
        redirects, no cookies and no .netrc.

        :param verify: as for requests, as the next
        :raises OSError: there is no such bundle of certificates
        :raises requests.RequestException: a proxy's address is at fault
        :raises urllib3.exceptions.HTTPError: the address is
        """
        adapter: Any = self  # the types of these two are not the same in all releases
        pool: HTTPConnectionPool = adapter.get_connection_with_tls_context(
            request, verify, proxies=dict(proxies)
        )
        adapter.cert_verify(pool, request.url, verify, None)
        return pool

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        """Return the manager of connections through a proxy."""
        return _bound(super().proxy_manager_for(proxy, **kwargs))


def _bound(manager: PoolManager) -> PoolManager:
    classes: Mapping[str, Any] = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {
        scheme: pool if issubclass(pool.ConnectionCls, _Bounded) else _bounded(pool)
        for scheme, pool in classes.items()
    }
    return manager


def _bounded(pool: Any) -> Any:
    # Made of whatever is there: a proxy may have connections of a kind of its own.
    connection = type(pool.ConnectionCls.__name__, (_Bounded, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


class _Response(http.client.HTTPResponse):
    """An answer, due as a whole within the timeout that its socket has at its beginning."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Reader(sock, self.fp.detach()))


class _Bounded:
    response_class = _Response


class _Reader(io.RawIOBase):
    """Reads from a socket until the deadline."""

    def __init__(self, sock: Any, raw: io.RawIOBase) -> None:
        super().__init__()
        self._sock = sock
        self._raw = raw
        self._deadline = time.monotonic() + sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
