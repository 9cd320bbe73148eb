"""
When to send again: pure decisions, without clock, database or network.

The vendor's failure protocol: wait at least 5 seconds, then double; after more than five failures
in a row probe at a fixed interval of 15 minutes.
https://mcm-docs.moloco.com/docs/user-event-api-failure-protocol
"""

from __future__ import annotations

FIRST_WAIT = 5.0
RETRIES = 5
PROBE_INTERVAL = 900.0
#: An event put off to another year, or past what a database can date, would be as good as lost.
LONGEST_WAIT = 86_400.0


def retry_wait(failures: int, retry_after: float | None = None) -> float:
    """
    Return how long an event waits before it is sent again, in seconds.

    :param failures: failed deliveries so far, this one included; 1 or more
    :param retry_after: seconds the server asked for; never shortens the wait, and lengthens it to
        one day at most
    """
    wait = FIRST_WAIT * 2 ** (failures - 1) if failures <= RETRIES else PROBE_INTERVAL
    return max(wait, min(retry_after or 0.0, LONGEST_WAIT))
