"""For ASGI servers: the buffer is written before the server ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from asgiref.sync import sync_to_async

from django_moloco_rmp.runners.thread import drain

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
# Servers and frameworks have types of their own for these three, Django's stubs another.
_Application = Callable[[Any, Any, Any], Awaitable[None]]


def with_drain(application: _Application) -> _Application:
    """
    Return an ASGI application that also answers the server's lifespan messages, as Django's does
    not, and writes what is in the buffer when the server shuts down.

    Some servers end by the signal that stopped them, so that Python's own exit hooks never run::

        application = with_drain(get_asgi_application())
    """

    async def wrapped(scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await application(scope, receive, send)

    return wrapped


async def _lifespan(receive: _Receive, send: _Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await sync_to_async(drain, thread_sensitive=False)()
    await send({"type": "lifespan.shutdown.complete"})
