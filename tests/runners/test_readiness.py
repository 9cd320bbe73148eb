"""What the checks say of a task queue, and whose Celery application is called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
import pytest
from celery import Celery, current_app
from celery.beat import ScheduleEntry
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_moloco_rmp import checks, runners
from django_moloco_rmp.runners import celery as celery_runner
from tests import settings as suite

HAS_TASKS = django.VERSION >= (6, 0)
needs_tasks = pytest.mark.skipif(not HAS_TASKS, reason="Django has no tasks before 6.0")
DUMMY = "django.tasks.backends.dummy.DummyBackend"
IMMEDIATE = "django.tasks.backends.immediate.ImmediateBackend"
EVERY_MINUTE = {"moloco": {"task": celery_runner.TASK, "schedule": 60.0}}


def chosen(relay: str, **overrides: Any) -> Any:
    return override_settings(MOLOCO_RMP={**suite.MOLOCO_RMP, "RELAY": relay}, **overrides)


def found(relay: str, **overrides: Any) -> list[CheckMessage]:
    with chosen(relay, **overrides):
        return checks.check_runner()


def told(relay: str, **overrides: Any) -> tuple[str, str, str]:
    """The id, message and hint of the one thing that is said."""
    (message,) = found(relay, **overrides)
    return str(message.id), message.msg, str(message.hint)


@pytest.fixture
def shop_app() -> Iterator[Celery]:
    """The shop's Celery application, as Celery's guide for Django has it."""
    before = current_app._get_current_object()
    app = Celery("shop", broker="memory://")
    app.conf.beat_schedule = EVERY_MINUTE
    with chosen("celery"):
        runners.prepare()
        yield app
        before.set_current()
        runners.prepare()
    app.close()


def in_a_thread(ask: Callable[[], Any]) -> Any:
    """What is answered in a thread that knows of no application yet."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(ask).result()


@pytest.mark.parametrize("relay", ["thread", "command", "off"])
def test_nothing_is_said_of_other_runners(relay: str) -> None:
    assert found(relay) == []


def test_nothing_is_said_of_a_shop_that_reports_nothing() -> None:
    with override_settings(MOLOCO_RMP={"ENABLED": False, "RELAY": "celery"}):
        assert checks.check_runner() == []


def test_without_an_application_no_worker_could_be_told() -> None:
    assert told("celery") == (
        "moloco_rmp.E010",
        "MOLOCO_RMP['RELAY'] is 'celery', but no Celery application is known: import it in your"
        " project's __init__.py, as Celery's guide for Django does.",
        "Mend that, or set RELAY to 'command'. As it is nothing would be sent.",
    )


def test_nothing_is_said_of_an_application_with_a_timetable(shop_app: Celery) -> None:
    assert found("celery") == []


def test_without_a_timetable_a_lost_nudge_is_made_up_for_by_the_next_alone(
    shop_app: Celery,
) -> None:
    shop_app.conf.beat_schedule = {"mails": {"task": "mails", "schedule": 1.0}}
    assert told("celery") == (
        "moloco_rmp.W009",
        "No entry of Celery's beat_schedule calls 'django_moloco_rmp.drain'.",
        "Have it called every minute, or cron call moloco_relay --until-empty: else events wait for"
        " the next one to come when a nudge is lost, and after an outage.",
    )
    shop_app.conf.beat_scheduler = "django_celery_beat.schedulers:DatabaseScheduler"
    assert found("celery") == []


def test_an_entry_of_the_timetable_may_be_celerys_own(shop_app: Celery) -> None:
    entry = ScheduleEntry(name="moloco", task=celery_runner.TASK, schedule=60.0, app=shop_app)
    shop_app.conf.beat_schedule = {"moloco": entry}
    assert found("celery") == []


def test_a_timetable_may_be_made_when_the_application_is_finalized() -> None:
    before = current_app._get_current_object()
    app = Celery("shop", broker="memory://")

    @app.on_after_finalize.connect
    def plan(sender: Celery, **_: Any) -> None:
        sender.add_periodic_task(60.0, sender.signature(celery_runner.TASK))

    try:
        with chosen("celery"):
            runners.prepare()
        assert found("celery") == []
    finally:
        before.set_current()
        with chosen("celery"):
            runners.prepare()
        app.close()


def test_an_application_that_threads_do_not_know_is_told() -> None:
    # Made in a ready() after ours, say.
    before = current_app._get_current_object()
    late = Celery("late", broker="memory://")
    try:
        assert told("celery")[0] == "moloco_rmp.E010"
    finally:
        before.set_current()
        late.close()


def test_without_celery_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "celery", None)
    monkeypatch.delitem(sys.modules, "django_moloco_rmp.runners.celery")
    assert told("celery") == (
        "moloco_rmp.E010",
        "MOLOCO_RMP['RELAY'] is 'celery', which needs the package celery.",
        "Install it, or set RELAY to 'command'. As it is nothing would be sent.",
    )
    # Nor does Django fail to start for that, or for another task queue that looks for tasks.
    with chosen("celery"):
        runners.prepare()


def test_other_task_queues_may_look_for_tasks_where_there_is_no_celery() -> None:
    program = (
        "import sys; sys.modules['celery'] = None; import django_moloco_rmp.tasks as tasks;"
        "assert not hasattr(tasks, 'drain')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_any_thread_calls_the_application_of_the_main_one(shop_app: Celery) -> None:
    # Celery itself would have taken another.
    assert in_a_thread(lambda: [celery_runner.application(), current_app.main]) == [
        shop_app,
        "default",
    ]


def test_the_application_of_the_start_is_not_replaced_by_another(shop_app: Celery) -> None:
    other = Celery("other")
    assert celery_runner.application() is shop_app
    other.close()


def test_an_application_for_all_threads_may_come_after_the_start() -> None:
    before = in_a_thread(current_app._get_current_object)
    late = Celery("late", set_as_current=False)
    late.set_default()
    try:
        assert in_a_thread(celery_runner.application) is late
    finally:
        before.set_default()
        late.close()


def test_with_other_runners_no_application_is_looked_for(shop_app: Celery) -> None:
    other = Celery("other")
    with chosen("thread"):
        runners.prepare()
    assert celery_runner.application() is shop_app
    other.close()


def test_a_nudge_has_a_fixed_name_and_carries_an_alias(shop_app: Celery) -> None:
    celery_runner.publish("other")
    with shop_app.connection_for_read() as connection:
        message = connection.SimpleQueue("celery").get(timeout=10)
        message.ack()
    assert message.content_type == "application/json"
    assert message.headers["task"] == "django_moloco_rmp.drain"
    assert message.headers["ignore_result"] is True
    assert message.headers["expires"] is not None
    assert message.payload[:2] == [["other"], {}]


def test_celery_finds_the_task(shop_app: Celery) -> None:
    shop_app.autodiscover_tasks(["django_moloco_rmp"], force=True)
    task = shop_app.tasks[celery_runner.TASK]
    assert (task.ignore_result, task.acks_late, task.reject_on_worker_lost) == (True, True, False)
    assert (task.expires, task.soft_time_limit, task.time_limit) == (1800, 75, 90)


def test_without_an_application_no_nudger_is_made() -> None:
    with pytest.raises(ImproperlyConfigured, match="no Celery application"):
        celery_runner.nudger("default", bell=None, drain_seconds=1.0)


@pytest.mark.skipif(HAS_TASKS, reason="Django has tasks from 6.0 on")
def test_an_older_django_has_no_tasks() -> None:
    assert told("tasks") == (
        "moloco_rmp.E010",
        "MOLOCO_RMP['RELAY'] is 'tasks', which needs Django 6.0 or newer.",
        "Install it, or set RELAY to 'command'. As it is nothing would be sent.",
    )


@needs_tasks
@pytest.mark.parametrize("alias", ["default", "moloco_rmp"])
def test_the_immediate_backend_would_send_in_the_process_that_reports(alias: str) -> None:
    tasks = {"default": {"BACKEND": DUMMY}, alias: {"BACKEND": IMMEDIATE}}
    assert told("tasks", TASKS=tasks) == (
        "moloco_rmp.E011",
        f"MOLOCO_RMP['RELAY'] is 'tasks', and TASKS['{alias}'] is the immediate backend: it would"
        " send inside the process that reports.",
        "Give it, or an entry 'moloco_rmp', a backend with a worker.",
    )


@needs_tasks
def test_the_dummy_backend_does_nothing() -> None:
    assert told("tasks", TASKS={"default": {"BACKEND": DUMMY}}) == (
        "moloco_rmp.W008",
        "MOLOCO_RMP['RELAY'] is 'tasks', and TASKS['default'] is the dummy backend, which does"
        " nothing.",
        "Give it, or an entry 'moloco_rmp', a backend with a worker.",
    )


@needs_tasks
def test_a_backend_of_the_shops_own_is_taken_as_it_is() -> None:
    with_worker = {"BACKEND": "tests.runners.backends.Refusing"}
    assert found("tasks", TASKS={"default": {"BACKEND": DUMMY}, "moloco_rmp": with_worker}) == []


@needs_tasks
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"BACKEND": DUMMY, "QUEUES": ["mails"]}, "Queue 'default' is not valid for backend"),
        ({"BACKEND": "nothing.there"}, "Could not find backend 'nothing.there'"),
    ],
)
def test_a_backend_that_cannot_take_the_task_is_told(entry: dict[str, Any], said: str) -> None:
    number, message, hint = told("tasks", TASKS={"default": entry})
    assert number == "moloco_rmp.E010"
    assert message.startswith(f"MOLOCO_RMP['RELAY'] is 'tasks', but {said}")
    assert hint == "Mend that, or set RELAY to 'command'. As it is nothing would be sent."


@needs_tasks
def test_a_nudge_of_tasks_carries_an_alias() -> None:
    from django.tasks import task_backends  # noqa: PLC0415

    from django_moloco_rmp.runners import tasks as tasks_runner  # noqa: PLC0415

    with chosen("tasks", TASKS={"default": {"BACKEND": DUMMY}}):
        tasks_runner.publish("other")
        (result,) = task_backends["default"].results
    assert result.task.module_path == "django_moloco_rmp.runners.tasks.drain"
    assert (result.args, result.kwargs) == (["other"], {})
