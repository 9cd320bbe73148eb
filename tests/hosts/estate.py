"""Everything together: a database and a sink, two relays and two shops, a host each."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import psycopg

from tests.faults import bench
from tests.hosts.conversation import Talker
from tests.hosts.network import Network, end, scratch

ROOT = Path(__file__).parents[2]
RELAYS = ("relay-1", "relay-2")
SHOPS = ("shop-1", "shop-2")
DATABASE, SINK = "database", "sink"
MAX_QPS = 20
_PORT = 8010


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the sink has seen it, by the true time."""

    received_at: float
    status: int
    event_id: str
    timestamp: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of all events of a scenario."""

    offered: int
    received: int
    duplicates: int
    lost: int
    calls: Sequence[Call]
    #: How long purchases and page views took, and errors of purchases.
    took: Sequence[float]
    looked: Sequence[float]
    failed: Sequence[str]

    @property
    def ahead(self) -> float:
        """By how many seconds an event was dated later than it arrived; below 0 if none was."""
        return max(call.timestamp - call.received_at for call in self.calls)


# Each look is a question to another process, or to the database.
wait_until = partial(bench.wait_until, pace=0.02)


class Relay:
    """``manage.py moloco_relay`` on a host."""

    def __init__(self, process: subprocess.Popen[str], errors: Any) -> None:
        self.process = process
        self._errors = errors

    def log(self) -> str:
        """Return what it has logged."""
        self._errors.seek(0)
        return str(self._errors.read())

    def stop(self) -> None:
        """Tell it to end, as systemd does; it has to end well."""
        assert end(self.process) == 0, self.log()


class Estate:
    """
    A context manager: the hosts, and on them the database, the sink and the shops.

    :param binaries: where PostgreSQL's programs are
    :param faketime: the library that shifts a process's clock
    """

    def __init__(self, binaries: Path, faketime: str) -> None:
        self._binaries = binaries
        self._faketime = faketime
        self.network = Network(
            *RELAYS, *SHOPS, DATABASE, SINK, servers=(DATABASE, SINK), localhost=SINK
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.network)
            self._folder = Path(tempfile.mkdtemp(prefix="moloco-hosts-"))
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._start_database(stack)
            self._database = psycopg.connect(self._dsn("shop"), autocommit=True)
            stack.callback(self._database.close)
            subprocess.run(
                [sys.executable, "-m", "django", "migrate", "--verbosity=0"],
                env=self._environment() | {"HOSTS_DATABASE": str(self._folder)},
                cwd=ROOT,
                check=True,
            )
            address = self.network[SINK].address
            self.sink = self._talker(stack, SINK, "tests.hosts.sink", address, str(_PORT))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _dsn(self, name: str) -> str:
        # By a file, which no partition of the network cuts.
        return f"host={self._folder} user=postgres dbname={name}"

    def _start_database(self, stack: ExitStack) -> None:
        user = "postgres"
        owner = pwd.getpwnam(user)
        os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        data = self._folder / "data"
        subprocess.run(
            [
                *(self._binaries / "initdb", "--pgdata", data, "--username", "postgres"),
                *("--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            user=owner.pw_uid,
            group=owner.pw_gid,
            extra_groups=[],
            cwd=self._folder,
            check=True,
            capture_output=True,
        )
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.99.0.0/24 trust\n")
        errors = stack.enter_context(scratch())
        server = self.network[DATABASE].start(
            [
                *(str(self._binaries / "postgres"), "-D", str(data)),
                # The machine is not going to fail here, and is busy enough.
                *("-c", "fsync=off", "-c", "listen_addresses=*"),
                *("-c", f"unix_socket_directories={self._folder}"),
            ],
            dict(os.environ),
            user=user,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
        )
        stack.callback(end, server, signal.SIGINT)

        def answers() -> bool:
            try:
                with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
                    connection.execute("CREATE DATABASE shop")
            except psycopg.OperationalError:
                return False
            return True

        wait_until(answers, "PostgreSQL answers")

    def _environment(self, shift: float = 0) -> dict[str, str]:
        moloco_rmp = {
            "BASE_URL": f"http://localhost:{_PORT}",
            "MAX_QPS": MAX_QPS,
        }
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.hosts.settings",
            "PYTHONPATH": os.pathsep.join([*map(str, sys.path), str(ROOT)]),
            "PYTHONUNBUFFERED": "1",
            "HOSTS_DATABASE": self.network[DATABASE].address,
            "HOSTS_MOLOCO_RMP": json.dumps(moloco_rmp),
        }
        if shift:
            # A wrong clock is wrong about the date; how long a second is it knows.
            environment |= {
                "LD_PRELOAD": self._faketime,
                "FAKETIME": f"{shift:+g}s",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "DONT_FAKE_MONOTONIC": "1",
            }
        return environment

    def _talker(
        self, stack: ExitStack, host: str, module: str, *arguments: str, shift: float = 0
    ) -> Talker:
        errors = stack.enter_context(scratch())
        process = self.network[host].start(
            [sys.executable, "-m", module, *arguments],
            self._environment(shift),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        stack.callback(end, process, signal.SIGKILL)
        talker = Talker(process, errors)
        talker.ready()
        return talker

    @contextmanager
    def people(self, *names: str, clocks: dict[str, float] | None = None) -> Iterator[list[Talker]]:
        """Open shops on hosts."""
        with ExitStack() as stack:
            shift = clocks or {}
            yield [
                self._talker(stack, name, "tests.hosts.shop", shift=shift.get(name, 0))
                for name in names
            ]

    @contextmanager
    def relay(self, name: str, shift: float = 0) -> Iterator[Relay]:
        """Start a relay on a host; killed at the end if it still runs."""
        with scratch() as errors:
            process = self.network[name].start(
                [sys.executable, "-m", "django", "moloco_relay", "--skip-checks"],
                self._environment(shift),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
            try:
                yield Relay(process, errors)
            finally:
                end(process, signal.SIGKILL)

    def query(self, sql: str, *parameters: Any) -> list[Any]:
        """Ask the database, as its administrator."""
        return self._database.execute(sql, parameters).fetchall()

    def held_by(self, name: str) -> int:
        """How many connections a host has, as the database sees it."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s::inet"
        return int(self.query(sql, self.network[name].address)[0][0])

    def wants_a_lock(self, name: str) -> int:
        """How many locks a host waits for."""
        sql = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        sql += " WHERE NOT granted AND client_addr = %s::inet"
        return int(self.query(sql, self.network[name].address)[0][0])

    def another_session(self) -> psycopg.Connection[Any]:
        """Return another connection of the administrator's."""
        return psycopg.connect(self._dsn("shop"))

    def pending(self) -> int:
        """How many events wait, those under a lease included."""
        sql = "SELECT count(*) FROM moloco_rmp_outboxevent WHERE state = 0"
        return int(self.query(sql)[0][0])

    def leased(self) -> int:
        """How many events are under a lease."""
        sql = "SELECT count(*) FROM moloco_rmp_outboxevent WHERE state = 0 AND lease_token <> ''"
        return int(self.query(sql)[0][0])

    def failures(self) -> int:
        """How many failures in a row the gate has noted."""
        rows = self.query("SELECT failures FROM moloco_rmp_gate")
        return int(rows[0][0]) if rows else 0

    def calls(self) -> list[Call]:
        """All calls of this scenario, in their order."""
        return sorted((Call(*each) for each in self.sink.ask("told")), key=lambda c: c.received_at)

    def arrived(self) -> int:
        """How many events the sink has."""
        return len({call.event_id for call in self.calls() if call.status == 200})

    def clear(self) -> None:
        """Begin anew: an empty outbox, a gate that knows nothing, a sink that has seen nothing."""
        self._database.execute("TRUNCATE moloco_rmp_outboxevent, moloco_rmp_gate")
        self.sink.ask("clear_faults")
        self.sink.ask("clear")

    def judge(self, shops: Sequence[Talker]) -> Outcome:
        """Wait until nothing is pending, and hold what has arrived against what was committed."""
        told = [shop.ask("told") for shop in shops]

        def all_of(kind: str) -> list[Any]:
            return [each for one in told for each in one[kind]]

        wanted, unsure = set(all_of("committed")), set(all_of("unsure"))
        wait_until(
            lambda: not self.pending() and wanted <= {call.event_id for call in self.calls()},
            "everything has been sent",
        )
        calls = self.calls()
        times = Counter(call.event_id for call in calls if call.status == 200)
        lost = wanted - times.keys()
        assert not lost, f"{len(lost)} events lost"
        strange = times.keys() - wanted - unsure
        assert not strange, f"{len(strange)} events sent that nobody had committed"
        return Outcome(
            len(wanted),
            len(times),
            times.total() - len(times),
            len(lost),
            calls,
            all_of("took"),
            all_of("looked"),
            all_of("failed"),
        )
