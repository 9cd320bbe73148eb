"""
How fast a destination is called, as pure decisions: no clock, no randomness, no database.

A :class:`Pace` is what all relays of a destination know together. It hands out slots, each a moment
at which one call may start (the generic cell rate algorithm, with no burst), so that all processes
together stay below the limit. A throttled call (429) is first taken for what it usually is, one
identifier that many shoppers share, and only that identifier waits; when several are throttled
shortly after each other, the whole destination slows down by half, and then speeds up again step
by step.
https://mcm-docs.moloco.com/docs/user-event-api-error-categories

Times are microseconds by one and the same clock, rates are events in 1000 seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from django_moloco_rmp.protocol import LONGEST_WAIT, SECOND, lengthen

#: How late a call may start in its slot. A later one would crowd the calls after it.
SLOT = 25_000
#: Slots are handed out for the next second.
_HORIZON = SECOND
# With calls that arrive up to 75 ms late, n of them fit into a second if they are 1 / (0.93 n)
# seconds apart: SLOT for us, and the rest for what comes after us.
_SAFETY = 930
#: So many identifiers throttled shortly after each other speak of the destination as a whole.
SEVERAL = 3
_RECENT = 10 * SECOND
_FIRST_WAIT = SECOND
_LONGEST_WAIT = 60 * SECOND
_MOST_IDENTIFIERS = 100
#: The rate is raised after so much time without a cut, by a thirtieth of what it was before.
_STEP_TIME = 10 * SECOND
_STEPS = 30
_SLOWEST = 1000
#: The vendor's default limit: a guess for a destination whose rate is not known yet.
_DEFAULT_RATE = 30_000
_WINDOW = 5 * SECOND


@dataclass(frozen=True, slots=True)
class Slots:
    """
    Moments at which calls may start: ``first``, and ``interval`` microseconds apart.

    Without a limit the interval is 0. Without any slot, ``wait`` says when to ask again.
    """

    count: int
    first: int
    interval: int
    wait: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """
    One destination's pace.

    ``next_slot`` is the first moment not handed out yet. ``rate`` is the adapted one, None unless
    the destination was throttled; it ends when it is back at ``ceiling``. ``throttled`` maps
    identifiers to when their wait ends, how often they were throttled, and when last.
    ``window_*`` measure how fast calls have been granted.
    """

    next_slot: int = 0
    rate: int | None = None
    ceiling: int = 0
    changed_at: int = 0
    throttled: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    window_at: int = 0
    window_count: int = 0
    window_rate: int = 0

    def slots(self, now: int, wanted: int, limit: float | None) -> Slots:
        """
        Return slots for up to ``wanted`` calls; :meth:`taken` then takes them.

        :param limit: MAX_QPS, calls per second of all processes together; None for no limit
        """
        rate = self._effective(limit)
        if rate is None:
            return Slots(wanted, now, 0)
        interval = -(-1000 * SECOND * 1000 // (rate * _SAFETY))
        first = max(self.next_slot, now)
        ahead = first - now
        if ahead >= _HORIZON:
            return Slots(0, first, interval, wait=ahead - _HORIZON + 1)
        return Slots(min(wanted, 1 + (_HORIZON - 1 - ahead) // interval), first, interval)

    def taken(self, now: int, slots: Slots, count: int) -> Pace:
        """Take the first ``count`` slots."""
        pace = self._measured(now, count)
        if not slots.interval:
            return pace
        return replace(pace, next_slot=slots.first + count * slots.interval)

    def throttle(
        self,
        now: int,
        granted_at: int,
        identifier: str,
        retry_after: int | None,
        jitter: float,
        limit: float | None,
    ) -> tuple[Pace, int]:
        """
        Note a throttled call; return how long its event waits, too.

        :param granted_at: when its slot was handed out
        :param identifier: what names the shopper
        :param retry_after: what the server asked for, microseconds
        :param jitter: a random number from 0 to 1
        :param limit: MAX_QPS
        """
        times = self.throttled.get(identifier, (0, 0, 0))[1] + 1
        wait = max(_FIRST_WAIT * 2 ** min(times - 1, 6), min(retry_after or 0, LONGEST_WAIT))
        if retry_after is None:
            wait = min(wait, _LONGEST_WAIT)
        wait = lengthen(wait, jitter)
        if granted_at <= self.changed_at:
            # From before the last cut, so it is no news.
            return self, wait
        throttled = self._known(now) | {identifier: (now + wait, times, now)}
        recent = [at for _, _, at in throttled.values() if at > now - _RECENT]
        if len(recent) < SEVERAL:
            return replace(self, throttled=throttled), wait
        current = self._effective(limit) or self._observed(now)
        return (
            replace(
                self,
                rate=max(_SLOWEST, current // 2),
                ceiling=max(self.ceiling if self.rate is not None else 0, current),
                changed_at=now,
                next_slot=max(self.next_slot, now + wait),
                throttled={},
            ),
            wait,
        )

    def waits(self, now: int, identifier: str) -> int:
        """Return how long an identifier still has to wait, in microseconds; 0 if not at all."""
        return max(0, self.throttled.get(identifier, (0, 0, 0))[0] - now)

    def raised(self, now: int) -> Pace:
        """Return the pace with as many steps upward as are due."""
        if self.rate is None:
            return self
        steps = (now - self.changed_at) // _STEP_TIME
        if steps <= 0:
            return self
        rate = self.rate + steps * max(_SLOWEST, self.ceiling // _STEPS)
        if rate >= self.ceiling:
            return replace(self, rate=None, ceiling=0, changed_at=now)
        return replace(self, rate=rate, changed_at=self.changed_at + steps * _STEP_TIME)

    def measured(self, now: int) -> int:
        """Return how fast calls have been granted lately, in events per 1000 seconds."""
        if now - self.window_at >= 2 * _WINDOW:
            return 0
        return self.window_rate

    def _effective(self, limit: float | None) -> int | None:
        rates = [
            rate
            for rate in (self.rate, None if limit is None else int(limit * 1000))
            if rate is not None
        ]
        return min(rates, default=None)

    def _observed(self, now: int) -> int:
        passed = max(now - self.window_at, SECOND)
        return max(self.measured(now), self.window_count * 1000 * SECOND // passed) or _DEFAULT_RATE

    def _measured(self, now: int, count: int) -> Pace:
        passed = now - self.window_at
        if passed < _WINDOW:
            return replace(self, window_count=self.window_count + count)
        rate = self.window_count * 1000 * SECOND // passed if passed < 2 * _WINDOW else 0
        return replace(self, window_at=now, window_count=count, window_rate=rate)

    def _known(self, now: int) -> dict[str, tuple[int, int, int]]:
        # For a while longer than they wait, so that the next wait is longer.
        known = {
            identifier: entry
            for identifier, entry in self.throttled.items()
            if entry[0] + _LONGEST_WAIT > now
        }
        while len(known) >= _MOST_IDENTIFIERS:
            del known[min(known, key=lambda identifier: known[identifier][0])]
        return known
