"""Backends of Django's tasks framework, for tests."""

from __future__ import annotations

from typing import Any, NoReturn

from django.tasks.backends.base import BaseTaskBackend


class Refusing(BaseTaskBackend):
    """One whose queue is out of reach."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> NoReturn:
        raise ConnectionRefusedError("the queue is out of reach")


class Broken(BaseTaskBackend):
    """One that cannot even be made."""

    def __init__(self, alias: str, params: Any) -> None:
        raise RuntimeError("this backend cannot be made")

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> NoReturn:
        raise NotImplementedError
