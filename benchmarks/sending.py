"""One relay, from a word on until the outbox is empty: a process of `relays`."""

from __future__ import annotations

import time

from benchmarks.children import hear, say
from django_moloco_rmp.fleet import fleet_from_settings
from django_moloco_rmp.outbox import default_alias


def main() -> None:
    fleet = fleet_from_settings(default_alias())
    say("ready")
    assert hear() == "go"
    cpu = time.process_time()
    tally = fleet.run(until_empty=True)
    say({"delivered": tally.delivered, "cpu": time.process_time() - cpu})
