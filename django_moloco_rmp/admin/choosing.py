"""Which destination a page of the admin is about: one at a time, chosen in its address."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest

from django_moloco_rmp.backlog import known_destinations

#: The parameter of an address.
PARAMETER = "destination"
_KNOWN = "_moloco_destinations"


@dataclass(frozen=True, slots=True)
class Chosen:
    """
    The destination that a page is about, and all that it may be about.

    ``is_another`` if one was asked for that is there no more: then this one was not meant.
    """

    name: str
    known: tuple[str, ...]
    is_another: bool = False

    @property
    def tabs(self) -> list[tuple[str, bool]]:
        """All names, each with whether it is the chosen one; none where there is no choice."""
        return [(name, name == self.name) for name in self.known] if len(self.known) > 1 else []

    @property
    def query(self) -> str:
        """What goes on with an address that has a parameter, to keep the choice."""
        return f"&{urlencode({PARAMETER: self.name})}" if len(self.known) > 1 else ""

    @property
    def first_query(self) -> str:
        """The same for an address that has no parameter yet."""
        return self.query.replace("&", "?", 1)


def chosen(request: HttpRequest, using: str) -> Chosen:
    """
    Return the destination that a form or an address names, the first one if it names none.

    :param using: the alias of the outbox's database
    """
    # A page asks more than once, which takes some queries.
    known: tuple[str, ...] | None = getattr(request, _KNOWN, None)
    if known is None:
        known = tuple(known_destinations(using))
        setattr(request, _KNOWN, known)
    name = request.POST.get(PARAMETER) or request.GET.get(PARAMETER)
    if not name:
        return Chosen(known[0], known)
    return Chosen(name if name in known else known[0], known, name not in known)
