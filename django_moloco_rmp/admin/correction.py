"""Correcting a rejected event: another body under the same id, sent again."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from django import forms
from django.db.models import F
from django.db.models.lookups import Exact
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_moloco_rmp.admin.bodies import pretty
from django_moloco_rmp.backlog import put_back
from django_moloco_rmp.database import DatabaseNow, found_by_key, retrying
from django_moloco_rmp.events import Event
from django_moloco_rmp.exceptions import InvalidEventError
from django_moloco_rmp.models import OutboxEvent
from django_moloco_rmp.outbox import Entry
from django_moloco_rmp.wire import loads

_ROWS = 24


class CorrectionForm(forms.Form):
    """The body to correct. ``seen`` tells which version of it the form was opened with."""

    body = forms.CharField(
        label=_("Body"),
        strip=False,
        help_text=_("JSON. The event id has to stay: by it Moloco knows a repeat."),
        widget=forms.Textarea(
            attrs={"rows": _ROWS, "class": "moloco-editor", "spellcheck": "false"}
        ),
    )
    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)

    def __init__(self, event: OutboxEvent, data: Any = None) -> None:
        initial = {"body": pretty(event.payload)[0], "seen": version(event.payload)}
        super().__init__(data, initial=initial)
        self._event = event
        self.corrected: Event | None = None

    def clean_body(self) -> str:
        """Validate the body as if it were sent."""
        body: str = self.cleaned_data["body"]
        try:
            event = loads(body)
        except InvalidEventError as error:
            raise forms.ValidationError(
                gettext("%(field)s: %(rule)s. %(fix)s"),
                params={"field": error.field, "rule": error.rule, "fix": error.fix},
            ) from None
        if event.id != self._event.event_id:
            raise forms.ValidationError(
                gettext("id: must stay %(id)s. Put it back, or Moloco counts the event twice."),
                params={"id": self._event.event_id},
            )
        self.corrected = event
        return body

    def clean_seen(self) -> str:
        """Refuse what was opened before somebody else's correction."""
        seen: str = self.cleaned_data["seen"]
        if seen != version(self._event.payload):
            raise forms.ValidationError(
                gettext("Somebody has corrected this event meanwhile: open it again.")
            )
        return seen


def version(payload: str) -> str:
    """Return what a body is told from others by."""
    return hashlib.blake2s(payload.encode("utf-8", "backslashreplace"), digest_size=12).hexdigest()


def correct(using: str, row: OutboxEvent, event: Event) -> str | None:
    """
    Give a rejected event another body, and make it due.

    :param using: the database's alias
    :param row: the event as it was looked at
    :return: the new body; None if the event is no longer rejected, or was sent again meanwhile
    """
    entry = Entry.of(event)
    changed = retrying(using, partial(_write, using, row, entry))
    return entry.payload if changed else None


def _write(using: str, row: OutboxEvent, entry: Entry) -> int:
    # Whoever corrected it before had it taken up once more. Not the body itself: to MySQL texts are
    # equal that differ in case only.
    rows = OutboxEvent._base_manager.using(using).filter(
        Exact(F("state") + 0, OutboxEvent.State.REJECTED), pk=row.pk, attempts=row.attempts
    )
    with found_by_key(using, OutboxEvent._meta.db_table):
        return int(
            rows.update(
                event_type=entry.event_type,
                payload=entry.payload,
                identifier=entry.identifier,
                **put_back(DatabaseNow()),
            )
        )
