"""Sending what was reported, within a test: :func:`drain`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.conf import settings
from django.test import override_settings

from django_moloco_rmp.conf import NAME, get_settings, named_destinations
from django_moloco_rmp.destinations import named
from django_moloco_rmp.fleet import fleet_from_settings
from django_moloco_rmp.outbox import default_alias
from django_moloco_rmp.sandbox import SandboxServer
from django_moloco_rmp.settlement import Tally


def drain(
    to: SandboxServer | str | None = None,
    *,
    destination: str | None = None,
    using: str | None = None,
) -> Tally:
    """
    Send what is due in the outbox, now, and return what has become of it::

        with SandboxServer() as sandbox:
            client.post("/checkout/")
            assert drain(sandbox) == Tally(delivered=1)

    It works inside of ``TestCase``'s transaction: only the calling thread talks to the database.
    What the server refused stays as it does in production, failures wait for their next try.

    :param to: where to send it: a sandbox, or the origin of another server; by default what the
        settings say, which had better not be production
    :param destination: send only what is for this one of DESTINATIONS; by default for all of them
    :param using: alias of the outbox's database
    :raises ImproperlyConfigured: the settings are at fault
    :raises InvalidEventError: there is no such destination
    """
    with nullcontext() if to is None else _addressed(to):
        names = None if destination is None else [named(get_settings(), destination).name]
        fleet = fleet_from_settings(using or default_alias(), destinations=names)
        return fleet.run(until_empty=True)


def _addressed(to: SandboxServer | str) -> AbstractContextManager[Any]:
    own = {"BASE_URL": to}
    if isinstance(to, SandboxServer):
        own = {"BASE_URL": to.url, "PLATFORM_ID": to.platform_id, "API_KEY": to.api_key}
    values: dict[str, Any] = {**getattr(settings, NAME, {})}
    entries = values.get("DESTINATIONS", {})
    if entries:
        values["DESTINATIONS"] = {name: {**entry, **own} for name, entry in entries.items()}
    if named_destinations() != list(entries):
        values |= own
    return override_settings(**{NAME: values})
