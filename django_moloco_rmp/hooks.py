"""Hooks: the functions of the request that a shop puts into ``MOLOCO_RMP``."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutine
from typing import Any, TypeVar

from django.core.exceptions import SynchronousOnlyOperation

from django_moloco_rmp.exceptions import InvalidEventError

_T = TypeVar("_T")


def ask(
    field: str,
    what: str,
    hook: Callable[[Any], Any],
    request: Any,
    read: Callable[[Any], _T],
) -> _T:
    """
    Return what a hook says of a request.

    :param field: of the event, that the answer is for
    :param what: the hook, in words
    :param read: makes of the answer what is returned
    :raises InvalidEventError: it failed, by the error that is the cause of this one, or is a
        coroutine function; or ``read`` raised it
    """
    try:
        answer = hook(request)
        if iscoroutine(answer):
            answer.close()  # or Python warns that nobody awaited it
            fix = "Make it a plain function: def, not async def."
            raise InvalidEventError(field, f"{what} is a coroutine function", fix)
        return read(answer)
    except InvalidEventError:
        raise
    except Exception as error:
        fix = "Mend it; it gets the request."
        if isinstance(error, SynchronousOnlyOperation):
            fix = "In async code await aidentifiers() or afreeze()."
        rule = f"{what} failed with {type(error).__name__}"
        raise InvalidEventError(field, rule, fix) from error
