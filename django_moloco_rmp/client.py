"""
The plain HTTP client: one event, one POST, one answer or one error.

It works without the rest of the package::

    with EventClient("SHOP_TEST", api_key) as client:
        client.insert_event(event)
"""

from __future__ import annotations

import re
import time
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType

import requests
from requests.utils import select_proxy
from urllib3 import HTTPConnectionPool, Timeout

from django_moloco_rmp.connections import BoundedAdapter
from django_moloco_rmp.endpoints import DEFAULT_DOMAIN_SUFFIX, endpoint
from django_moloco_rmp.events import Event
from django_moloco_rmp.exceptions import DeliveryError, api_error
from django_moloco_rmp.responses import (
    TRANSPORT_ERRORS,
    network_error,
    parse_retry_after,
    read_bounded,
    response_message,
)
from django_moloco_rmp.wire import dumps

DEFAULT_TIMEOUT = (3.05, 10.0)


def user_agent(distribution: str) -> str:
    """Return the User-Agent of an installed distribution; version 0 if it is not installed."""
    try:
        return f"{distribution}/{version(distribution)}"
    except PackageNotFoundError:  # a checkout
        return f"{distribution}/0"


class EventClient:
    """
    Posts events to one platform. Threads may share a client; processes may not.

    TLS certificates are always verified, and redirects never followed, so the key stays with the
    host it was meant for. Proxies and certificate bundles are taken from the environment once,
    as requests does (``HTTPS_PROXY``, ``NO_PROXY``, ``REQUESTS_CA_BUNDLE``).

    :param platform_id: see :func:`~django_moloco_rmp.endpoints.endpoint`, as for the next three
    :param api_key: the platform's User Event API key
    :param timeout: seconds to connect, and seconds for the answer, headers and body together; the
        first is also the limit of each step of sending, see :attr:`longest_call`
    :param pool_size: most connections open at a time; a call beyond them waits its turn
    :raises ValueError: an argument cannot be part of a request; the error names it
    """

    def __init__(
        self,
        platform_id: str,
        api_key: str,
        *,
        platform_name: str | None = None,
        domain_suffix: str = DEFAULT_DOMAIN_SUFFIX,
        base_url: str | None = None,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        pool_size: int = 8,
    ) -> None:
        if not re.fullmatch(r"[!-~]+", api_key):
            raise ValueError(
                "api_key must be the key given by Moloco: ASCII without white space or control"
                " characters"
            )
        self.url = endpoint(
            platform_id,
            platform_name=platform_name,
            domain_suffix=domain_suffix,
            base_url=base_url,
        )
        self._api_key = api_key
        self._seconds = timeout
        self._timeout = Timeout(connect=timeout[0], read=timeout[1])
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": user_agent("django-moloco-rmp"),
            "X-API-Key": api_key,
        }
        self._address = requests.Request("POST", self.url).prepare()
        self._adapter = BoundedAdapter(
            pool_connections=1, pool_maxsize=pool_size, max_retries=0, pool_block=True
        )
        with requests.Session() as session:
            environment = session.merge_environment_settings(self.url, {}, True, True, None)
        self._proxies = environment["proxies"]
        self._verify: bool | str = environment["verify"] or True
        self._route: tuple[HTTPConnectionPool, str] | None = None

    @property
    def longest_call(self) -> float:
        """
        The longest that one call takes, in seconds, however slow the server is.

        The time to connect counts for each step that it limits: TCP, TLS, headers and body on
        their way; a proxy has three of its own. The time to read counts once. Not counted is what
        nobody can limit from here: the lookup of the name, and, while a host has addresses that do
        not answer, the time to connect to each of them. A call that finds ``pool_size`` others
        under way waits for one of them first.
        """
        connect, read = self._seconds
        steps = 7 if select_proxy(self.url, self._proxies) else 4
        return steps * connect + read

    def __repr__(self) -> str:
        return f"EventClient(url={self.url!r}, api_key='***')"

    def __enter__(self) -> EventClient:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections. The client may be used again afterwards."""
        self._route = None
        self._adapter.close()

    def insert_event(self, event: Event) -> None:
        """
        Deliver one event.

        :raises DeliveryError: it was not accepted; ask the error what to do
        """
        self.insert_body(dumps(event))

    def insert_body(self, body: str) -> None:
        """
        Deliver one event that is JSON text already, as :func:`~django_moloco_rmp.wire.dumps`
        makes it.

        :raises DeliveryError: it was not accepted; ask the error what to do
        """
        failure = self._post(body.encode())
        # Raised here, outside of any except block: the library's own error, whose traceback leads
        # to the headers with the key, must not travel along as the context of ours.
        if failure is not None:
            raise failure

    def _way(self) -> tuple[HTTPConnectionPool, str]:
        """Return the connections to post by, and the target that is named there."""
        # Kept, and without requests' own response: both together are a quarter of a call's CPU.
        route = self._route
        if route is None:
            pool = self._adapter.pool(self._address, verify=self._verify, proxies=self._proxies)
            target = self._adapter.request_url(self._address, self._proxies)
            route = self._route = pool, target
        return route

    def _post(self, body: bytes) -> DeliveryError | None:
        try:
            pool, target = self._way()
            response = pool.urlopen(
                "POST",
                target,
                body=body,
                headers=self._headers,
                timeout=self._timeout,
                redirect=False,
                retries=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        except TRANSPORT_ERRORS as error:
            return network_error(error, secret=self._api_key)
        try:
            content = read_bounded(response)
        finally:
            # Ends the connection unless all of the answer was read.
            response.close()
            response.release_conn()
        if 200 <= response.status <= 299:
            return None
        return api_error(
            response.status,
            response_message(content, response.reason or "", secret=self._api_key),
            parse_retry_after(response.headers.get("Retry-After"), time.time()),
        )
