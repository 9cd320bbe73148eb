"""
The fleet: the relays of one database, one for each destination, driven by one thread.

They share its connection and nothing else: each has its senders, its gate and its pace, so that one
whose destination is down holds up no other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import astuple

from django_moloco_rmp.bell import Bell
from django_moloco_rmp.conf import get_settings
from django_moloco_rmp.relay import Activity, Allowance, Relay, Tally, client_for, drive, relay_for


class Fleet:
    """
    The relays of one database.

    :param relays: by the name of their destination
    :param bell: that of all of them
    :param release: called at the end, to let go of what they used
    """

    #: It uses the connection of the thread that drives it, and closes it when it is idle.
    has_connection = True
    #: It has no thread of its own that talks.
    talking = None

    def __init__(
        self, relays: Mapping[str, Relay], bell: Bell, release: Callable[[], None] = lambda: None
    ) -> None:
        self._relays = dict(relays)
        self._bell = bell
        self._release = release

    @property
    def tally(self) -> Tally:
        """What has become of events so far."""
        return Tally(*map(sum, zip(*(astuple(each.tally) for each in self._each()), strict=True)))

    def _each(self) -> Iterable[Relay]:
        return self._relays.values()

    def wake(self, destination: str | None = None) -> None:
        """
        Look at the table now. Callable from any thread.

        :param destination: whose relay looks; None for all
        """
        for name, relay in self._relays.items():
            if destination is None or name == destination:
                relay.wake()

    def stop(self) -> None:
        """As :meth:`Relay.stop`, of all at once."""
        for relay in self._each():
            relay.stop()

    def run(
        self,
        *,
        until_empty: bool = False,
        max_events: int | None = None,
        seconds: float | None = None,
    ) -> Tally:
        """
        Work until :meth:`stop`; arguments and errors as for :meth:`Relay.run`.

        :param max_events: of all together
        """
        allowance = Allowance(math.inf if max_events is None else max_events)
        for relay in self._each():
            relay.begin(until_empty=until_empty, allowance=allowance)
        try:
            drive(self, self._bell, seconds)
        finally:
            self.close()
        return self.tally

    def step(self) -> float | None:
        """
        Do what can be done now, and return in how many seconds there is more to do.

        :return: None once all have come to their end
        :raises Exception: what the first relay that failed did; the others have done their part
        """
        waits = []
        failures = []
        for relay in self._each():
            try:
                waits.append(relay.step())
            except Exception as error:
                failures.append(error)
        if failures:
            for other in failures[1:]:
                failures[0].add_note(f"For another destination: {other!r}")
            raise failures[0]
        return min((wait for wait in waits if wait is not None), default=None)

    def close(self) -> None:
        """Let the senders end; does not wait."""
        for relay in self._each():
            relay.close()
        self._release()


def fleet_from_settings(
    using: str,
    *,
    destinations: Iterable[str] | None = None,
    bell: Bell | None = None,
    drain_seconds: float = 20.0,
    idle_seconds: float = 10.0,
) -> Fleet:
    """
    Return the relays of one database, as the settings have them.

    :param using: the database's alias
    :param destinations: names of those that events are sent to; by default all
    :param bell: as for :class:`Relay`
    :param drain_seconds: as for :class:`Relay`
    :param idle_seconds: as for :class:`Relay`
    :raises ImproperlyConfigured: the settings are at fault
    """
    settings = get_settings()
    names = settings.destinations if destinations is None else destinations
    bell, activity = bell or Bell(), Activity()
    relays = {}
    with ExitStack() as clients:
        for name in names:
            destination = settings.destinations[name]
            relays[name] = relay_for(
                destination,
                using,
                client=clients.enter_context(client_for(destination)),
                bell=bell,
                activity=activity,
                drain_seconds=drain_seconds,
                idle_seconds=idle_seconds,
            )
        return Fleet(relays, bell, clients.pop_all().close)
