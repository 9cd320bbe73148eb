"""The runner ``"tasks"``: workers of Django's own tasks framework drain the outbox."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.tasks import DEFAULT_TASK_BACKEND_ALIAS, Task, task, task_backends

from django_moloco_rmp.bell import Bell
from django_moloco_rmp.runners.draining import drain_outbox
from django_moloco_rmp.runners.nudges import Nudger

#: The entry of TASKS that is taken if there is one, else the default.
OWN_BACKEND = "moloco_rmp"


def backend_alias() -> str:
    """Return the entry of TASKS that is taken."""
    return OWN_BACKEND if OWN_BACKEND in task_backends.settings else DEFAULT_TASK_BACKEND_ALIAS


@task(backend=backend_alias())
def drain(using: str | None = None) -> None:
    """
    Send what is due in one outbox.

    :param using: the database's alias; where events go if it is left out
    """
    drain_outbox(using)


def present_task() -> Task[..., None]:
    """
    Return the task for TASKS as they are now.

    :raises InvalidTask: the backend has no queue named "default"
    :raises ImproperlyConfigured: there is no such backend
    """
    return drain.using(backend=backend_alias())


def publish(using: str) -> None:
    """
    Ask the workers for a drain of one outbox.

    :param using: the database's alias
    """
    present_task().enqueue(using)


def nudger(using: str, *, bell: Bell, drain_seconds: float, **_: Any) -> Nudger:
    """
    Return what nudges the workers.

    :raises InvalidTask: the backend has no queue named "default"
    :raises ImproperlyConfigured: there is no such backend
    """
    present_task()
    return Nudger(partial(publish, using), using, bell=bell, drain_seconds=drain_seconds)
