"""Celery: events reported in tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_moloco_rmp.sandbox import SandboxServer
from tests.processes.children import PATIENCE, wait_until
from tests.processes.servers.broker import application
from tests.processes.servers.serving import Server, find, ids, written

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.servers,
]

APP = "tests.processes.servers.celery_app"


class Worker:
    """A context manager: a Celery worker with a pool, and what its tasks reported."""

    def __init__(self, folder: Path, *arguments: str, **moloco_rmp: Any) -> None:
        self._folder = folder
        for name in ("queue", "control"):
            (folder / name).mkdir()
        self.server = Server(
            *find("celery"),
            "--app",
            APP,
            "worker",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            *arguments,
            env={"SHOP_BROKER": str(folder)},
            **moloco_rmp,
        )

    def __enter__(self) -> Worker:
        self.server.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.server.__exit__(*exc_info)

    def call(self, *calls: tuple[str, int]) -> None:
        """Queue tasks that report so many events of a type; return when they are done."""
        before = len(self._done())
        app = application(self._folder)
        for arguments in calls:
            app.send_task("emit", arguments)
        wait_until(lambda: len(self._done()) == before + len(calls))

    def _done(self) -> list[Path]:
        return list(self._folder.glob("*.done"))

    @property
    def pids(self) -> set[str]:
        """The processes that tasks ran in."""
        return {path.name.partition("-")[0] for path in self._done()}

    @property
    def emitted(self) -> list[str]:
        """The ids of all events."""
        return sorted(each for path in self._done() for each in path.read_text().split())


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_events_of_tasks_are_delivered_and_at_the_end_all_is_written(
    sandbox: SandboxServer, tmp_path: Path, pool: str
) -> None:
    with Worker(tmp_path, "--pool", pool, "--concurrency", "2", BASE_URL=sandbox.url) as worker:
        worker.call(*[("PURCHASE", 1), ("PAGE_VIEW", 3)] * 2)
        sandbox.wait_for(8, PATIENCE)
        assert sorted(ids(sandbox)) == worker.emitted
        worker.call(("PAGE_VIEW", 1000))
        assert worker.server.end() == 0
        assert sorted(ids(sandbox) + written()) == worker.emitted


def test_a_child_that_has_done_enough_writes_what_is_buffered(tmp_path: Path) -> None:
    options = ["--concurrency", "1", "--max-tasks-per-child", "1"]
    with Worker(tmp_path, *options, RELAY="command") as worker:
        # Each child's only task is the one that reports: a moment later it is gone.
        worker.call(*[("PAGE_VIEW", 5)] * 3)
        assert len(worker.pids) == 3
        worker.server.end()
        assert written() == worker.emitted
