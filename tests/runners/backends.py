"""Backends of Django's tasks framework, for tests."""

from __future__ import annotations

import threading
from typing import Any, ClassVar, NoReturn

from django.tasks.backends.base import BaseTaskBackend


class Refusing(BaseTaskBackend):
    """One whose queue is out of reach."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> NoReturn:
        raise ConnectionRefusedError("the queue is out of reach")


class Noting(BaseTaskBackend):
    """One that takes its time to be made, in each thread anew, and notes what it is told."""

    noted: ClassVar[list[Any]] = []
    is_made = threading.Event()
    may_go_on = threading.Event()

    def __init__(self, alias: str, params: Any) -> None:
        super().__init__(alias, params)
        self.is_made.set()
        assert self.may_go_on.wait(30)

    @classmethod
    def begin(cls) -> None:
        """Forget what was."""
        cls.noted.clear()
        cls.is_made.clear()
        cls.may_go_on.clear()

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> None:
        self.noted += args


class Broken(BaseTaskBackend):
    """One that cannot even be made."""

    def __init__(self, alias: str, params: Any) -> None:
        raise RuntimeError("this backend cannot be made")

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> NoReturn:
        raise NotImplementedError
