"""Processes: many at once, killed, stopped, forked, told to end."""

from __future__ import annotations

import signal
import time

from django_moloco_rmp.database import DatabaseNow
from django_moloco_rmp.models import OutboxEvent
from tests.faults.bench import Bench, Outcome, Sandbox, State, wait_until
from tests.faults.processes import Child

# Seconds: the longest that an idle relay looks away, see relay.py.
POLL_MAX = 5.0


def four_relays(bench: Bench) -> Outcome:
    """F1. Four relays share a backlog: each event goes out once, at the first attempt."""
    count = bench.scale.of(200, 10_000)
    # Rows of the shop's own ids stay, and so do their attempts.
    offered = bench.record_many(count, keeps_id=True)
    with Sandbox() as sandbox, bench.children() as crew:
        start = time.monotonic()
        relays = [crew.command(sandbox, "--until-empty") for _ in range(4)]
        for relay in relays:
            relay.ready()
        said = [relay.finish(300)["said"] for relay in relays]
        seconds = time.monotonic() - start
        assert all(said), "a relay said nothing at its end"
        attempts = set(OutboxEvent.objects.values_list("attempts", flat=True).distinct())
        assert attempts == {1}, attempts
        assert not bench.pending()
        return bench.judge(sandbox, offered, f"{count / seconds:.0f} events a second")


def killed_relays(bench: Bench) -> Outcome:
    """F2. ``kill -9`` of a random relay, time and again: nothing is lost, few are sent twice."""
    kills, batch, lease = bench.scale.of(2, 20), 10, bench.scale.of(1.2, 2.0)
    options = {"lease": lease, "batch_size": batch, "concurrency": 5, "timeout": [0.2, 0.2]}
    with Sandbox() as sandbox, bench.children() as crew:
        sandbox.fault({"delay": 0.03, "count": None})
        offered = bench.record_many(40 * kills)
        relays = [crew.relay(sandbox, **options) for _ in range(3)]
        for number in range(kills):
            before = len(sandbox.calls())
            some = bench.chance.randint(1, 30)
            wait_until(lambda: len(sandbox.calls()) >= before + some, "further calls")  # noqa: B023
            victim = relays.pop(bench.chance.randrange(len(relays)))
            victim.kill()
            relays.append(crew.relay(sandbox, **options))
            if number % 5 == 4:
                bench.say(f"{number + 1} of {kills} killed")
        drained = bench.wait_until_empty()
        assert drained <= lease + 10, f"drained {drained:.1f} s after the last kill"
        return bench.judge(
            sandbox,
            offered,
            f"{kills} kills, drained {drained:.1f} s after the last",
            most_duplicates=kills * batch,
        )


def killed_emitter(bench: Bench) -> Outcome:
    """F3. A shop dies between commit and wake: another process's relay delivers."""
    with Sandbox() as sandbox, bench.children() as crew:
        relay = crew.relay(sandbox).ready()
        for command in ("die_before_commit", "die_after_commit"):
            shop = crew.shop(RELAY="thread")
            shop.tell(command, *([3] if command == "die_after_commit" else []))
            assert shop.wait() == -signal.SIGKILL
        took = wait_until(lambda: len(sandbox.accepted()) == 3, "three deliveries")
        assert took <= POLL_MAX + 1, f"delivered only after {took:.1f} s"
        bench.wait_until_empty()
        assert relay.stop()["tally"]["delivered"] == 3
        offered = [f"order-{number}" for number in range(3)]
        return bench.judge(
            sandbox, offered, f"delivered {took:.1f} s after the death", undone=["order-lost"]
        )


def rollbacks(bench: Bench) -> Outcome:
    """F4. What is rolled back is never reported; its siblings always are."""
    with Sandbox() as sandbox, bench.children() as crew:
        said = crew.shop().ask("roll_back", bench.scale.of(10, 200))
        crew.relay(sandbox, run={"until_empty": True}).ready().finish()
        assert not bench.pending()
        outcome = bench.judge(
            sandbox,
            said["kept"],
            f"{len(said['undone'])} rolled back, none received",
            undone=said["undone"],
        )
        assert outcome.received_unique == outcome.offered
        return outcome


def stopped_relay(bench: Bench) -> Outcome:
    """F17. A relay sleeps through its lease; what it says afterwards changes nothing."""
    lease, batch = bench.scale.of(1.0, 3.0), 10
    rounds = bench.scale.of(1, 5)
    options = {"lease": lease, "batch_size": batch, "concurrency": 5, "timeout": [0.2, 0.2]}
    offered: list[str] = []
    with Sandbox() as sandbox, bench.children() as crew:
        for _ in range(rounds):
            # Rows of the shop's own ids stay, for a late word to spoil.
            offered += bench.record_many(4 * batch, keeps_id=True)
            before = len(sandbox.calls())
            sandbox.fault({"delay": 0.05, "count": None})
            sleeper = crew.relay(sandbox, **options).ready()
            wait_until(lambda: len(sandbox.calls()) >= before + 7, "its first calls")  # noqa: B023
            sleeper.signal(signal.SIGSTOP)
            slept_from = time.monotonic()
            other = crew.relay(sandbox, **options).ready()
            bench.wait_until_empty()
            wait_until(lambda: time.monotonic() >= slept_from + 2 * lease, "its sleep")  # noqa: B023
            sleeper.signal(signal.SIGCONT)
            tallies = [relay.stop()["tally"] for relay in (sleeper, other)]
            # Each event was written back by the one that held its lease, and by nobody else.
            assert sum(tally["delivered"] for tally in tallies) == 4 * batch, tallies
            rows = OutboxEvent.objects.filter(state=State.SENT, lease_token="", payload="")
            assert rows.count() == len(offered), "a row came back"
        return bench.judge(
            sandbox,
            offered,
            f"{rounds} sleeps of {2 * lease:g} s under a lease of {lease:g} s",
            most_duplicates=rounds * batch,
        )


def forked_shop(bench: Bench) -> Outcome:
    """F18. A shop forks while its relay's thread is at work: neither side loses anything."""
    forks, count = bench.scale.of(2, 25), 5
    offered: list[str | None] = []
    with Sandbox() as sandbox, bench.children() as crew:
        shop = crew.shop(RELAY="thread", BASE_URL=sandbox.url)
        for _ in range(forks):
            offered += shop.ask("emit", "PURCHASE", count)
            ids, threads = shop.ask("fork", count)
            offered += ids
            assert threads == 1, f"{threads} threads in the child"
            offered += shop.ask("emit", "PURCHASE", count)
            assert shop.ask("query") == 0
        assert shop.ask("threads") == 1
        bench.wait_until_empty()
        shop.hang_up()
        assert shop.wait() == 0
        # What a child's exit interrupts after 1.5 s may be sent again.
        return bench.judge(sandbox, offered, f"{forks} forks, one thread in each process")


def _rows_of_50(bench: Bench, relay: Child) -> None:
    wait_until(lambda: OutboxEvent.objects.exclude(lease_token="").count() == 50, "50 claimed")


def terminated_relay(bench: Bench) -> Outcome:
    """F19. SIGTERM with 50 claimed and 8 in flight: they are finished, and the rest handed back."""
    delay = bench.scale.of(0.4, 1.0)
    offered = bench.record_many(60)
    with Sandbox() as sandbox, bench.children() as crew:
        sandbox.fault({"delay": delay, "count": 8})
        relay = crew.command(sandbox).ready()
        wait_until(lambda: len(sandbox.calls()) == 8, "eight calls")
        _rows_of_50(bench, relay)
        start = time.monotonic()
        relay.signal(signal.SIGTERM)
        relay.finish()
        took = time.monotonic() - start
        assert took <= 20 + 1, f"ended after {took:.1f} s"
        assert len(sandbox.calls()) == 8, "it began something after it was told to end"
        rows = OutboxEvent.objects.filter(state=State.PENDING)
        back = rows.filter(lease_token="", available_at__lte=DatabaseNow(), attempts=0)
        assert back.count() == rows.count() == 52
        crew.command(sandbox, "--until-empty").ready().finish()
        assert not rows.exists()
        return bench.judge(sandbox, offered, f"ended {took:.1f} s after SIGTERM, answers {delay} s")
