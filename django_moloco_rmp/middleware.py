"""The middleware: binds a lazy :class:`~django_moloco_rmp.shopper.Shopper` to each request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_moloco_rmp import devices, runners
from django_moloco_rmp.shopper import Shopper, bound


class MolocoMiddleware:
    """
    Makes the shopper known as ``request.moloco``, and to code without a request.

    It reads nothing of the request by itself. Place it after the session's and authentication's.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        # Tenths of a second now rather than in the first shopper's requests.
        devices.warm_up()
        runners.warm_up()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer the request, with a coroutine if the next in line is async."""
        if self._is_async:
            return self._acall(request)
        shopper = _bind(request)
        with bound(shopper):
            response: HttpResponseBase = self.get_response(request)
            # Of async views too, which run in an event loop of their own under WSGI.
            for emit in shopper.deferred:
                emit()
        shopper.finish(response)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        shopper = _bind(request)
        with bound(shopper):
            response: HttpResponseBase = await self.get_response(request)
            for emit in shopper.deferred:
                await sync_to_async(emit)()
        shopper.finish(response)
        return response


def _bind(request: HttpRequest) -> Shopper:
    shopper = Shopper(request)
    request.moloco = shopper  # type: ignore[attr-defined]
    return shopper
