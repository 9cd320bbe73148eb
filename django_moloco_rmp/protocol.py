"""
The vendor's failure protocol as pure decisions: no clock, no randomness, no database, no network.

A :class:`Circuit` is what all relays of a destination know together. Each method takes the time
and returns the circuit as it is afterwards. The vendor asks to wait at least 5 seconds after a
failure, then to double the wait; after more than five failed retries in a row to stop calling, keep
the events and probe at a fixed interval of, say, 15 minutes; at the first success to resume and
send what was kept. https://mcm-docs.moloco.com/docs/user-event-api-failure-protocol

Times are microseconds by one and the same clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

SECOND = 1_000_000
FIRST_WAIT = 5 * SECOND
#: Retries with growing waits; a failure more opens the circuit.
RETRIES = 5
PROBE_INTERVAL = 900 * SECOND
#: Rejections in a row, without one success, that speak of a broken mapping and not of bad events.
MOST_REJECTIONS = 20
#: Server errors of one event, each after successes of others, that make it poison.
POISON = 6
#: An event put off to another year, or past what a database can date, would be as good as lost.
LONGEST_WAIT = 86_400 * SECOND
#: The most that jitter adds to a wait.
_JITTER = 1 * SECOND


class State(StrEnum):
    """Whether calls may be made."""

    CLOSED = "closed"  #: All is well.
    BACKOFF = "backoff"  #: After 1 to 5 failures: waiting to probe.
    OPEN = "open"  #: Not calling, but for one probe in 15 minutes.
    PAUSED = "paused"  #: By an operator: not calling at all.


class Reason(StrEnum):
    """Why a circuit is not closed."""

    NONE = ""
    SERVER = "server"  #: The server fails, or is not reached.
    CONFIGURATION = "configuration"  #: Nothing is accepted until a setting is repaired.
    REJECTIONS = "rejections"  #: Event after event is refused.


def retry_wait(failures: int, retry_after: int | None = None) -> int:
    """
    Return how long to wait after so many failures in a row, in microseconds.

    :param failures: this one included; 1 or more
    :param retry_after: what the server asked for, in microseconds; never shortens the wait, and
        lengthens it to one day at most
    """
    wait = FIRST_WAIT * 2 ** (failures - 1) if failures <= RETRIES else PROBE_INTERVAL
    return max(wait, min(retry_after or 0, LONGEST_WAIT))


def lengthen(wait: int, jitter: float) -> int:
    """
    Return a wait with jitter: never shorter, and longer by a tenth or one second at most.

    :param jitter: a random number from 0 to 1
    """
    return wait + int(jitter * min(wait // 10, _JITTER))


@dataclass(frozen=True, slots=True)
class Permit:
    """What a circuit allows: so many calls, or none before ``wait`` microseconds have passed."""

    calls: int
    is_probe: bool = False
    wait: int = 0


@dataclass(frozen=True, slots=True)
class Circuit:
    """
    One destination's circuit.

    ``failures`` counts failed episodes in a row, not failed calls: each call carries the
    ``generation`` it was permitted in, and only one failure of a generation counts, however many
    calls were on their way. A destination that fails gets one call at a time, its probe, which
    holds the line until ``probe_until``, so that a prober that was killed blocks nobody for long.
    """

    paused: bool = False
    reason: Reason = Reason.NONE
    failures: int = 0
    rejections: int = 0
    generation: int = 0
    blocked_until: int = 0
    probe_until: int = 0
    changed_at: int = 0

    @property
    def state(self) -> State:
        """Whether calls may be made."""
        if self.paused:
            return State.PAUSED
        if not self.failures:
            return State.CLOSED
        return State.BACKOFF if self.failures <= RETRIES else State.OPEN

    def permit(self, now: int, wanted: int) -> Permit:
        """Return how many of ``wanted`` calls may be made; :meth:`taken` then takes them."""
        if self.paused:
            return Permit(0, wait=PROBE_INTERVAL)
        if not self.failures:
            return Permit(wanted)
        wait = max(self.blocked_until, self.probe_until) - now
        return Permit(0, wait=wait) if wait > 0 else Permit(min(wanted, 1), is_probe=True)

    def taken(self, now: int, permit: Permit, seconds: float) -> Circuit:
        """
        Take the calls of a permit.

        :param seconds: how long a probe may be on its way
        """
        if not permit.is_probe:
            return self
        return replace(self, probe_until=now + int(seconds * SECOND))

    def succeeded(self, now: int, generation: int) -> Circuit:
        """Note an accepted event: the destination works."""
        if not self.failures:
            return replace(self, rejections=0)
        # A call from before the failure proves nothing about the time after it.
        return self._closed(now) if generation == self.generation else self

    def failed(
        self, now: int, generation: int, jitter: float, retry_after: int | None = None
    ) -> Circuit:
        """
        Note a failure of the server or the network.

        :param retry_after: what the server asked for, microseconds; obeyed up to the interval of
            probes
        """
        if generation != self.generation:
            return self
        least = min(retry_after or 0, PROBE_INTERVAL)
        return self._blocked(now, self.failures + 1, Reason.SERVER, jitter, least)

    def misconfigured(self, now: int, generation: int, jitter: float) -> Circuit:
        """Note an answer that says that nothing will be accepted: open at once."""
        if generation != self.generation:
            return self
        return self._blocked(now, self._opening, Reason.CONFIGURATION, jitter)

    def rejected(self, now: int, generation: int, jitter: float) -> tuple[Circuit, bool]:
        """Note an event that was refused; also return whether to believe it is the event's fault.

        Of a row of refusals the last ones are not believed: those events are to be kept.
        """
        is_current = generation == self.generation
        if self.reason is Reason.REJECTIONS:
            if not is_current:
                return self, False
            return self._blocked(now, self.failures + 1, Reason.REJECTIONS, jitter), False
        circuit = replace(self, rejections=self.rejections + 1)
        if circuit.rejections >= MOST_REJECTIONS:
            return circuit._blocked(now, self._opening, Reason.REJECTIONS, jitter), False
        # The server is there and the key is good: probe on, with the next event.
        return (circuit.probing(now) if self.failures and is_current else circuit), True

    def deferred(self, now: int, generation: int, wait: int) -> Circuit:
        """Note a probe that was throttled, which is neither success nor failure."""
        if not self.failures or generation != self.generation:
            return self
        return replace(self, blocked_until=now + wait, probe_until=0)

    def returned(self, generation: int) -> Circuit:
        """Note a probe that was not made after all: somebody else may."""
        return replace(self, probe_until=0) if generation == self.generation else self

    def probing(self, now: int) -> Circuit:
        """Let the next probe be made at once."""
        return replace(self, blocked_until=min(self.blocked_until, now), probe_until=0)

    def pausing(self, now: int) -> Circuit:
        """Stop calling until :meth:`resuming`."""
        return self if self.paused else replace(self, paused=True, changed_at=now)

    def resuming(self, now: int) -> Circuit:
        """End a pause, and probe at once if the destination was failing."""
        circuit = replace(self, paused=False, changed_at=now) if self.paused else self
        return circuit.probing(now)

    @property
    def _opening(self) -> int:
        return max(self.failures, RETRIES) + 1

    def _blocked(
        self, now: int, failures: int, reason: Reason, jitter: float, least: int = 0
    ) -> Circuit:
        circuit = replace(
            self,
            reason=reason,
            failures=failures,
            generation=self.generation + 1,
            blocked_until=now + lengthen(retry_wait(failures, least), jitter),
            probe_until=0,
        )
        is_news = (circuit.state, reason) != (self.state, self.reason)
        return replace(circuit, changed_at=now) if is_news else circuit

    def _closed(self, now: int) -> Circuit:
        return Circuit(paused=self.paused, generation=self.generation + 1, changed_at=now)
