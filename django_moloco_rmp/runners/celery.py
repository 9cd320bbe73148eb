"""The runner ``"celery"``: workers drain the outbox when they are told to, and by a timetable."""

from __future__ import annotations

from functools import partial
from typing import Any

from celery import current_app, shared_task
from django.core.exceptions import ImproperlyConfigured

from django_moloco_rmp.bell import Bell
from django_moloco_rmp.runners.draining import EXPIRES, LIMIT, drain_outbox
from django_moloco_rmp.runners.nudges import Nudger

#: The task's name, for the shop's timetable and its routes.
TASK = "django_moloco_rmp.drain"
# Seconds that a broker gets to answer. The shop's own transport options win.
_PATIENCE = 2.0
_BOUNDS: dict[str, dict[str, Any]] = {
    "redis": {"socket_connect_timeout": _PATIENCE, "socket_timeout": _PATIENCE},
    "amqp": {"read_timeout": _PATIENCE, "write_timeout": _PATIENCE},
}

_app: Any = None


def adopt() -> None:
    """
    Remember the shop's Celery application, which is known to the main thread only.

    In any other thread ``current_app`` is a bare one, which would call a broker that is nobody's.
    """
    global _app  # noqa: PLW0603  (there is one to a process)
    _app = _current()


def _current() -> Any:
    app = current_app._get_current_object()
    return None if app.main == "default" else app


def application() -> Any:
    """
    Return the shop's Celery application.

    :raises ImproperlyConfigured: there is none
    """
    # One that the shop has made the default of all threads may have come later.
    found = _app or _current()
    if found is None:
        raise ImproperlyConfigured(
            "no Celery application is known: import it in your project's __init__.py, as Celery's "
            "guide for Django does"
        )
    return found


def publish(using: str) -> None:
    """
    Ask the workers for a drain of one outbox, by a connection of its own.

    :param using: the database's alias
    """
    # Not one of the shop's pool: that waits for a silent broker as long as the shop lets it, and
    # may have been made before a fork.
    app = application()
    with app.connection_for_write(connect_timeout=_PATIENCE) as connection:
        bounds = _BOUNDS.get(connection.transport.driver_type, {})
        connection.transport_options = {**bounds, **connection.transport_options}
        app.send_task(
            TASK,
            (using,),
            connection=connection,
            serializer="json",
            ignore_result=True,
            expires=EXPIRES,
            retry=False,
        )


def load() -> None:
    """
    Import what talks to the broker.

    :raises ImproperlyConfigured: there is no Celery application
    """
    app = application()
    with app.connection_for_write() as connection:
        connection.transport  # noqa: B018
    app.amqp.router  # noqa: B018


def nudger(using: str, *, bell: Bell, drain_seconds: float, **_: Any) -> Nudger:
    """
    Return what nudges Celery's workers.

    :raises ImproperlyConfigured: there is no Celery application
    """
    load()
    return Nudger(partial(publish, using), using, bell=bell, drain_seconds=drain_seconds)


@shared_task(
    name=TASK,
    ignore_result=True,
    # What a killed worker held is due again when its lease has run out: the task need not be.
    acks_late=True,
    reject_on_worker_lost=False,
    expires=EXPIRES,
    soft_time_limit=LIMIT,
    # The shop's own may be shorter than a drain.
    time_limit=LIMIT + 15,
)
def drain(using: str | None = None) -> None:
    """
    Send what is due in one outbox.

    :param using: the database's alias; where events go if it is left out
    """
    drain_outbox(using)
