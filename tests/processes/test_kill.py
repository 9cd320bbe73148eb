"""Nothing is lost by ``kill -9``, of whom and whenever."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter

import pytest

from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.sandbox import SandboxServer
from tests.outbox.samples import make_due, record, record_many
from tests.processes.children import PATIENCE, Shop, manage, relay

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.slow,
]


def test_what_a_killed_shop_had_committed_is_delivered_and_nothing_else(
    sandbox: SandboxServer,
) -> None:
    with Shop(RELAY="command") as shop:
        committed = shop("emit")
        shop("begin")
        shop("emit", "PURCHASE")
        shop.kill()
    manage("moloco_relay", "--until-empty", BASE_URL=sandbox.url)
    assert [each["body"]["id"] for each in sandbox.events()] == committed


def test_an_order_whose_process_dies_before_it_tells_anybody_is_delivered_by_another(
    sandbox: SandboxServer,
) -> None:
    with relay(BASE_URL=sandbox.url) as process:
        # It has been at work, and looks for more by itself.
        record("before")
        sandbox.wait_for(1, PATIENCE)
        with Shop(BASE_URL=sandbox.url) as shop:
            order = shop("die_in_commit")
            died = time.monotonic()
            assert shop.process.wait(PATIENCE) == -signal.SIGKILL
        sandbox.wait_for(2, PATIENCE)
        # Within the longest time between two looks, which is 5 s.
        assert time.monotonic() - died < 6
        process.kill()
    assert [each["body"]["id"] for each in sandbox.events()] == ["before", *order]


def test_a_relay_that_is_killed_time_and_again_loses_nothing(sandbox: SandboxServer) -> None:
    sent = record_many(100)
    settled, in_flight, kills = 10, 8, 3
    at_risk: set[str] = set()
    for _ in range(kills):
        # It gets some answers and then none, and dies with as many in flight as there can be.
        received = len(sandbox.events())
        sandbox.fault({"status": 202, "count": settled})
        sandbox.fault({"delay": 600, "count": in_flight})
        with relay(BASE_URL=sandbox.url, CONCURRENCY=in_flight) as process:
            assert sandbox.wait_for(received + settled + in_flight, PATIENCE)
            process.kill()
            process.wait()
        # What had been sent, and had not been written back.
        sent_by_now = {each["body"]["id"] for each in sandbox.events()}
        unsettled = sent_by_now & set(OutboxEvent.objects.values_list("event_id", flat=True))
        assert in_flight <= len(unsettled) <= in_flight + settled
        at_risk |= unsettled
        make_due()
    manage("moloco_relay", "--until-empty", BASE_URL=sandbox.url)
    bodies = [each["body"] for each in sandbox.events()]
    times = Counter(body["id"] for body in bodies)
    assert times.keys() == set(sent)
    assert not OutboxEvent.objects.exists()
    # Each kill may double what was in flight, and what had been answered but not written back:
    # those and no others, and none more often than there were kills.
    assert {each for each, count in times.items() if count > 1} <= at_risk
    assert max(times.values()) <= 1 + kills
    assert sum(times.values()) - len(sent) <= kills * (in_flight + settled)
    # A repeat is the same event, to the last byte.
    assert len({json.dumps(body) for body in bodies}) == len(sent)


def test_two_relays_send_each_event_once(sandbox: SandboxServer) -> None:
    sent = record_many(200)
    with (
        relay("--until-empty", BASE_URL=sandbox.url) as one,
        relay("--until-empty", BASE_URL=sandbox.url) as two,
    ):
        assert [each.wait(PATIENCE) for each in (one, two)] == [0, 0]
    assert sorted(each["body"]["id"] for each in sandbox.events()) == sorted(sent)
    assert not OutboxEvent.objects.exists()
