"""One call by one of the emitters, many times, in a process of its own: how long each took."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

#: What an event of ours carries, for those who take a dict.
PROPERTIES: dict[str, Any] = {
    "page_id": "PRODUCT:lamp-red",
    "referrer_page_id": "CATEGORY:lamps",
    "channel_type": "SITE",
    "items": [
        {"id": "lamp-red", "price": {"currency": "EUR", "amount": 19.9}, "quantity": 1},
    ],
    "device": {"os": "WINDOWS", "os_version": "10", "model": "", "language": "en-GB"},
}
Call = Callable[[], object]


def moloco(url: str, relay: str = "thread") -> Callable[[Callable[[Call], None]], None]:
    """Ours: in a request of a shopper who is signed in, all that is lazy still to be found out."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    os.environ["BENCH_MOLOCO_RMP"] = json.dumps({"BASE_URL": url, "RELAY": relay})
    import django  # noqa: PLC0415

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    from benchmarks.visits import Visits  # noqa: PLC0415
    from django_moloco_rmp import Item, Money, track_item_page_view  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    visits = Visits()

    def once(measure: Callable[[Call], None]) -> None:
        visits.during(
            lambda: measure(
                lambda: track_item_page_view(Item("lamp-red", price=Money("19.90"), quantity=1))
            )
        )

    return once


def unsent(url: str) -> Callable[[Callable[[Call], None]], None]:
    """The same, written to the outbox by this process and left there for another to send."""
    return moloco(url, "command")


def segment(url: str) -> Callable[[Callable[[Call], None]], None]:
    """Segment's library."""
    from segment.analytics.client import Client  # noqa: PLC0415

    client = Client("key", host=url, max_queue_size=100_000)

    def once(measure: Callable[[Call], None]) -> None:
        measure(lambda: client.track("u" * 64, "ITEM_PAGE_VIEW", dict(PROPERTIES)))

    return once


def posthog(url: str) -> Callable[[Callable[[Call], None]], None]:
    """PostHog's library."""
    from posthog import Posthog  # noqa: PLC0415

    client = Posthog("key", host=url, max_queue_size=100_000)

    def once(measure: Callable[[Call], None]) -> None:
        measure(
            lambda: client.capture(
                "ITEM_PAGE_VIEW", distinct_id="u" * 64, properties=dict(PROPERTIES)
            )
        )

    return once


def direct(url: str) -> Callable[[Callable[[Call], None]], None]:
    """One post of the same body, in the request."""
    import requests  # noqa: PLC0415

    session = requests.Session()
    headers = {"X-API-Key": "test-key", "Content-Type": "application/json"}
    body = json.dumps({"event_type": "ITEM_PAGE_VIEW", "id": "i" * 36, **PROPERTIES})

    def once(measure: Callable[[Call], None]) -> None:
        measure(lambda: session.post(f"{url}/rmp/event", data=body, headers=headers, timeout=10))

    return once


EMITTERS = {
    "moloco": moloco,
    "moloco, unsent": unsent,
    "segment": segment,
    "posthog": posthog,
    "direct": direct,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("emitter", choices=EMITTERS)
    parser.add_argument("url")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--gap", type=float, default=0.0)
    options = parser.parse_args()
    once = EMITTERS[options.emitter](options.url)
    took: list[int] = []

    def measure(call: Call) -> None:
        begun = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - begun)

    for _ in range(200):
        once(measure)
    del took[:]
    for _ in range(options.calls):
        once(measure)
        if options.gap:
            time.sleep(options.gap)
    print(json.dumps(took), flush=True)
    # Not what the libraries do at the end.
    os._exit(0)


if __name__ == "__main__":
    main()
