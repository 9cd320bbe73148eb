"""The admin's log: who did what to events and to delivery."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.options import get_content_type_for_model

__all__ = ["CHANGE", "DELETION", "note"]

_REPR_LENGTH = 200


def note(
    request: Any, model: Any, what: str, message: str, *, key: Any = None, flag: int = CHANGE
) -> None:
    """
    Write an entry of the request's user.

    :param model: what it is about
    :param what: the one or ones that it is about, in words
    :param key: of the one it is about; None if of several
    """
    LogEntry.objects.create(
        user_id=request.user.pk,
        content_type_id=get_content_type_for_model(model).pk,
        object_id=None if key is None else str(key),
        object_repr=what[:_REPR_LENGTH],
        action_flag=flag,
        change_message=message,
    )
