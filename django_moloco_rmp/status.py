"""How things stand: the backlog, the gate, and what can be told from both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django_moloco_rmp.backlog import Backlog, Summary
from django_moloco_rmp.conf import DEFAULT
from django_moloco_rmp.gate import Gate
from django_moloco_rmp.protocol import SECOND, Reason, State

#: A relay that lives leaves a sign at least every half a minute, with some room.
_SILENCE = 90.0


@dataclass(frozen=True, slots=True)
class Status:
    """
    How one destination stands.

    ``..._ago`` and waits are in seconds, None for never or not at all; rates are events per second.
    ``rate`` is how fast calls were permitted in the last seconds, of all relays together, and
    ``adapted_rate`` the limit after the API has throttled the destination as a whole.
    """

    backlog: Summary
    state: State
    reason: Reason
    failures: int
    since_ago: float | None
    probe_in: float | None
    last_success_ago: float | None
    last_error_ago: float | None
    last_status: int | None
    last_error: str
    relay_seen_ago: float | None
    rate: float
    adapted_rate: float | None
    throttled: int
    delivered: int
    rejected: int
    retried: int
    dropped: int

    @property
    def is_relayed(self) -> bool:
        """Whether a relay has been there lately."""
        return self.relay_seen_ago is not None and self.relay_seen_ago <= _SILENCE

    @property
    def drain_seconds(self) -> float | None:
        """In how many seconds the backlog is gone at this rate; None if that cannot be told."""
        count = self.backlog.pending.count
        if not count.number:
            return 0.0
        if self.state is not State.CLOSED or not self.rate:
            return None
        return count.number / self.rate


def read_status(
    using: str, destination: str = DEFAULT, *, backlog: Backlog | None = None
) -> Status:
    """
    Return how a destination of one database stands, without a lock.

    :param using: the database's alias
    :param destination: its name
    :param backlog: of both, with limits of its own
    :raises django.db.Error: the database failed
    """
    gate = Gate(using, destination)
    held = gate.look()
    noted = gate.noted()
    circuit, pace, now = held.circuit, held.pace, held.now

    def ago(moment: int) -> float | None:
        return max(now - moment, 0) / SECOND if moment else None

    def noted_ago(name: str) -> float | None:
        return ago(noted.get(name, 0))

    counts: dict[str, Any] = {
        name: noted.get(name, 0) for name in ("delivered", "rejected", "retried", "dropped")
    }
    is_probing = circuit.state in {State.BACKOFF, State.OPEN}
    probe_at = max(circuit.blocked_until, circuit.probe_until)
    return Status(
        backlog=(backlog or Backlog(using, destination)).summary(),
        state=circuit.state,
        reason=circuit.reason,
        failures=circuit.failures,
        since_ago=ago(circuit.changed_at),
        probe_in=max(probe_at - now, 0) / SECOND if is_probing else None,
        last_success_ago=noted_ago("last_success_at"),
        last_error_ago=noted_ago("last_error_at"),
        last_status=noted.get("last_status"),
        last_error=noted.get("last_error", ""),
        relay_seen_ago=noted_ago("relay_seen_at"),
        rate=pace.measured(now) / 1000,
        adapted_rate=None if pace.rate is None else pace.rate / 1000,
        throttled=sum(1 for name in pace.throttled if pace.waits(now, name)),
        **counts,
    )
