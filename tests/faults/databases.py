"""The database: lost under a relay, under load from all sides, and full."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_moloco_rmp.gate import Gate
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Outbox
from tests.faults.bench import Bench, Outcome, Sandbox, State, is_sqlite, wait_until
from tests.faults.processes import Child

_LEASE = timedelta(seconds=120)


def cut_connections() -> int:
    """End all connections to this database but the own one; return how many there were."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return len(cursor.fetchall())
        cursor.execute(
            "SELECT id FROM information_schema.processlist"
            " WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        )
        numbers = [number for (number,) in cursor.fetchall()]
        for number in numbers:
            try:
                cursor.execute("KILL CONNECTION %s", [number])
            except OperationalError:  # it has gone by itself
                continue
        return len(numbers)


def lock_database(seconds: float) -> None:
    """Hold the lock of all writers for so long, as a backup or a migration does."""
    with transaction.atomic():
        OutboxEvent.objects.filter(pk=0).update(attempts=0)
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > end, "the end of the lock", seconds + 60)


def lost_database(bench: Bench) -> Outcome:
    """F15. The relays' connections end in claim, send and settlement; SQLite stays locked."""
    return _locked(bench) if is_sqlite() else _cut(bench)


def _cut(bench: Bench) -> Outcome:
    batch, hits = 10, bench.scale.of(2, 10)
    offered = bench.record_many(bench.scale.of(100, 800))
    options = {"lease": 2.0, "batch_size": batch, "concurrency": 5, "timeout": [0.3, 0.3]}
    # The first of each kind, and then every third.
    plan = {"claim": [1, *range(3, 3 * hits, 3)], "settle": [1, *range(3, 3 * hits, 3)]}
    with Sandbox() as sandbox, bench.children() as crew:
        sandbox.fault({"delay": 0.02, "count": None})
        relays = [crew.relay(sandbox, lose=plan, **options).ready() for _ in range(2)]
        cut = 0
        for _ in range(hits):
            before = len(sandbox.calls())
            wait_until(lambda: len(sandbox.calls()) > before + 10, "further calls")  # noqa: B023
            cut += cut_connections()
        bench.wait_until_empty()
        reports = [relay.stop() for relay in relays]
        done = sum((Counter(report["losses"]) for report in reports), Counter[str]())
        assert done["claim"], "no connection was ended in a claim"
        assert done["settle"], "no connection was ended in a settlement"
        return bench.judge(
            sandbox,
            offered,
            f"connections ended: {done['claim']} in claim, {done['settle']} in settlement,"
            f" {cut} in between",
            most_duplicates=(done.total() + cut) * batch,
        )


def _locked(bench: Bench) -> Outcome:
    batch, hits, seconds = 10, bench.scale.of(1, 5), bench.scale.of(1, 7)
    offered = bench.record_many(60 * hits)
    options = {"lease": 10.0, "batch_size": batch, "concurrency": 5, "timeout": [0.3, 0.3]}
    with Sandbox() as sandbox, bench.children() as crew:
        sandbox.fault({"delay": 0.02, "count": None})
        relays = [crew.relay(sandbox, **options).ready() for _ in range(2)]
        for _ in range(hits):
            before = len(sandbox.calls())
            wait_until(lambda: len(sandbox.calls()) > before + 10, "further calls")  # noqa: B023
            lock_database(seconds)
        bench.wait_until_empty()
        for relay in relays:
            relay.stop()
        return bench.judge(
            sandbox,
            offered,
            f"locked {hits} times for {seconds} s",
            most_duplicates=hits * 2 * batch,
        )


def lock_storm(bench: Bench) -> Outcome:
    """F16. Four relays and four shops at work on the same tables: no shop ever sees an error."""
    # Four processes that write to SQLite without a pause lock each other out, with relays or
    # without: each waits five seconds at most, and is not waited for in turn.
    count, pause = (bench.scale.of(6, 200), 0.2) if is_sqlite() else (bench.scale.of(15, 500), 0.0)
    with Sandbox() as sandbox, bench.children() as crew:
        shops = [crew.shop() for _ in range(4)]
        calm = _sell(shops, count, pause)
        relays = [crew.relay(sandbox).ready() for _ in range(4)]
        busy = _sell(shops, count, pause)
        # The others may have looked away for seconds.
        crew.relay(sandbox, run={"until_empty": True})
        bench.wait_until_empty(300)
        logs = [relay.stop()["log"] for relay in relays]
        errors = [text for said in busy for text in said["errors"]]
        alone = [text for said in calm for text in said["errors"]]
        assert not errors, (
            f"{len(errors)} errors in the shop ({len(alone)} without relays), e.g. {errors[0]}"
        )
        failed = [log for log in logs if any(line.startswith("ERROR") for line in log)]
        assert not failed, failed
        return bench.judge(
            sandbox,
            [each for said in (*calm, *busy) for each in said["ids"]],
            f"{8 * count} shop transactions, 0 errors; without relays {_times(calm)},"
            f" with four {_times(busy)}",
        )


def _sell(shops: Sequence[Child], count: int, pause: float) -> list[dict[str, list[float]]]:
    for shop in shops:
        shop.tell("sell", count, pause)
    return [shop.hear(300) for shop in shops]


def _times(said: Sequence[dict[str, list[float]]]) -> str:
    took = sorted(1000 * each for one in said for each in one["took"])
    late = took[int(0.99 * (len(took) - 1))]
    return f"{statistics.median(took):.1f} ms (p99 {late:.0f}, max {took[-1]:.0f})"


_FILL = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n"
    " WHERE i < {last}) INSERT INTO {table} ({columns}) SELECT {values} FROM n",
    "postgresql": "INSERT INTO {table} ({columns}) SELECT {values}"
    " FROM generate_series({first}, {last}) AS n(i)",
    "mysql": "INSERT INTO {table} ({columns}) WITH RECURSIVE n(i) AS"
    " (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT {values} FROM n",
}
_NAME = {
    "sqlite": "printf('event-%010d', i)",
    "postgresql": "'event-' || lpad(i::text, 10, '0')",
    "mysql": "concat('event-', lpad(i, 10, '0'))",
}
_STEP = 100_000


def _fill(bench: Bench, first: int, count: int, state: int) -> None:
    """Have the database make rows itself."""
    quote = connection.ops.quote_name
    vendor = connection.vendor
    for start in range(first, first + count, _STEP):
        statement = _FILL[vendor].format(
            table=quote(OutboxEvent._meta.db_table),
            columns="event_id, event_type, payload, state, identifier, finished_at",
            values=f"{_NAME[vendor]}, 'ADD_TO_CART', '{{}}', {state}, '',"
            + ("CURRENT_TIMESTAMP" if state else "NULL"),
            first=start,
            last=min(start + _STEP, first + count) - 1,
        )
        with connection.cursor() as cursor:
            if vendor == "mysql":
                cursor.execute("SET SESSION max_recursive_iterations = 10000000")
            cursor.execute(statement)
    bench.say(f"{count} rows in state {state} made")


def _analyze() -> None:
    table = connection.ops.quote_name(OutboxEvent._meta.db_table)
    if connection.vendor == "sqlite":
        return  # as in a shop, which never asks for statistics
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {'TABLE ' if connection.vendor == 'mysql' else ''}{table}")


def _plan(work: Callable[[], object]) -> str:
    """The plan of the first statement that reads the outbox's table."""
    with CaptureQueriesContext(connection) as queries:
        work()
    sql = next(
        query["sql"]
        for query in queries.captured_queries
        if query["sql"].startswith("SELECT") and "outboxevent" in query["sql"]
    )
    keyword = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{keyword} {sql}")
        rows = cursor.fetchall()
    lines = [str(row[-1]) if len(row) < 10 else " ".join(map(str, row)) for row in rows]
    return " / ".join(line.strip() for line in lines)


def _median(work: Callable[[], object], times: int) -> float:
    """How long it takes, milliseconds."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append(1000 * (time.perf_counter() - start))
    return statistics.median(took)


_SORTING = ("TEMP B-TREE", "Sort", "filesort", "Seq Scan", "SCAN moloco")


def full_table(bench: Bench) -> Outcome:
    """F22. A million rows wait beside a million that are kept: claims and looks stay quick."""
    count = 1_000_000
    outbox, gate = Outbox("default"), Gate("default")
    try:
        _fill(bench, 0, count, State.SENT)
        _analyze()
        assert not outbox.has_due()
        idle = _median(outbox.has_due, 50)
        idle_plan = _plan(outbox.has_due)
        _fill(bench, count, count, State.PENDING)
        _analyze()
        claim = _median(lambda: gate.change(lambda held: outbox.claim(50, _LEASE)), 50)
        plan = _plan(lambda: outbox.claim(50, _LEASE))
        bench.say(f"idle poll {idle:.2f} ms: {idle_plan}")
        bench.say(f"claim of 50 {claim:.2f} ms: {plan}")
        assert "moloco_rmp_due" in plan, plan
        for each in (idle_plan, plan):
            # Where no row is pending both indexes are equally good for an idle poll.
            assert "moloco_rmp_due" in each or "moloco_rmp_finished" in each, each
            assert not any(word in each for word in _SORTING), each
        assert claim < 50, f"a claim of 50 takes {claim:.1f} ms"
        assert idle < 20, f"a look takes {idle:.1f} ms"
        return Outcome(0, 0, 0, 0, f"claim of 50: {claim:.1f} ms; idle poll {idle:.2f} ms")
    finally:
        with connection.cursor() as cursor:
            table = connection.ops.quote_name(OutboxEvent._meta.db_table)
            cursor.execute(f"{'DELETE FROM' if is_sqlite() else 'TRUNCATE TABLE'} {table}")
