"""
A process of a shop that is watched as docs/monitoring.md has it.

python -m tests.metrics.shop count | scrape
"""

from __future__ import annotations

import sys

import django

from django_moloco_rmp.signals import event_dropped, event_posted
from tests.metrics import guide


def main(what: str) -> None:
    django.setup()
    config = guide.run("shop/apps.py")["ShopConfig"]
    config.ready(config)
    if what == "count":
        event_dropped.send_robust("SEARCH", reason="invalid", detail="")
        event_posted.send_robust("SEARCH", destination="default", seconds=0.3, error=None)
    else:
        print(guide.run("shop/metrics_of_all.py")["metrics"](None).content.decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
