"""A relay that tells how much of it is in memory after so many events: a process of `memory`."""

from __future__ import annotations

import itertools
from typing import Any

from benchmarks import usage
from benchmarks.children import say
from django_moloco_rmp.fleet import fleet_from_settings
from django_moloco_rmp.outbox import default_alias
from django_moloco_rmp.signals import event_delivered


def main(*counts: str) -> None:
    told = {int(each) for each in counts}
    numbers = itertools.count(1)

    def count(**_: Any) -> None:
        if next(numbers) in told:
            say(usage.resident())

    event_delivered.connect(count)
    relay = fleet_from_settings(default_alias())
    say(usage.resident())
    relay.run(max_events=max(told))
