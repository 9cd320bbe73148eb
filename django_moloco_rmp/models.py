"""The outbox's table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _

from django_moloco_rmp.conf import DEFAULT
from django_moloco_rmp.database import DatabaseNow

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
else:
    _CharField = models.CharField


class ExactCharField(_CharField):
    """Text compared to the letter on MySQL too, where ``order-A`` else equals ``order-a``."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, Any]:
        """Return the column's type, with a binary collation on MySQL."""
        parameters: dict[str, Any] = dict(super().db_parameters(connection))
        if connection.vendor == "mysql":
            parameters["type"] = f"{parameters['type']} CHARACTER SET utf8mb4"
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class OutboxEvent(models.Model):
    """
    One event on its way, refused, or delivered under an id that the shop chose.

    In flight is a pending row whose ``available_at`` lies ahead and whose ``lease_token`` is set;
    a crashed relay's rows are due again when that time has come, without anybody's doing.
    """

    class State(models.IntegerChoices):
        """Where an event is on its road."""

        PENDING = 0, _("pending")
        SENT = 1, _("sent")
        REJECTED = 2, _("rejected")

    id = models.BigAutoField(primary_key=True)
    event_id = ExactCharField(
        _("event id"), max_length=128, help_text=_("The id that Moloco gets.")
    )
    event_type = models.CharField(_("event type"), max_length=32)
    destination = models.CharField(
        _("destination"),
        max_length=32,
        db_default=DEFAULT,
        help_text=_("Which of Moloco's platforms it goes to."),
    )
    payload = models.TextField(
        _("payload"), help_text=_("The exact JSON body; blank once it was delivered.")
    )
    keeps_id = models.BooleanField(
        _("keeps id"),
        db_default=False,
        help_text=_("The shop chose the id: it stays known after delivery."),
    )
    state = models.PositiveSmallIntegerField(
        _("state"), choices=State.choices, db_default=State.PENDING
    )
    attempts = models.PositiveIntegerField(
        _("attempts"), db_default=0, help_text=_("How often a relay took it up.")
    )
    failures = models.PositiveIntegerField(
        _("failures"), db_default=0, help_text=_("Failed deliveries, which lengthen the wait.")
    )
    server_errors = models.PositiveSmallIntegerField(
        _("server errors"),
        db_default=0,
        help_text=_("Met while other events were delivered; six make it poison."),
    )
    identifier = models.CharField(
        _("identifier"),
        max_length=32,
        blank=True,
        db_default="",
        help_text=_("What names the shopper: the beginning of a keyed hash."),
    )
    available_at = models.DateTimeField(
        _("available at"),
        db_default=DatabaseNow(),
        help_text=_("When it is due, is tried again, or its lease ends."),
    )
    lease_token = models.CharField(_("lease token"), max_length=32, blank=True, db_default="")
    last_status = models.PositiveSmallIntegerField(_("last HTTP status"), null=True, blank=True)
    last_error = models.CharField(_("last error"), max_length=500, blank=True, db_default="")
    created_at = models.DateTimeField(_("created at"), db_default=DatabaseNow())
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    class Meta:
        verbose_name = _("outbox event")
        verbose_name_plural = _("outbox events")
        # No conditions: MySQL would drop them in silence and keep the index.
        indexes: ClassVar = [
            models.Index(
                fields=["state", "destination", "available_at", "id"], name="moloco_rmp_due"
            ),
            models.Index(fields=["state", "finished_at"], name="moloco_rmp_finished"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event_id", "destination"], name="moloco_rmp_event_id")
        ]
        permissions: ClassVar = [
            ("view_event_body", _("Can see bodies and identifiers of events")),
            ("resend_event", _("Can resend rejected events")),
            ("correct_event", _("Can correct a rejected event and resend it")),
            ("discard_event", _("Can discard events that were not delivered")),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"


class Gate(models.Model):
    """
    What all relays of a destination know together, see ``protocol.Circuit`` and ``pace.Pace``.

    Moments are microseconds since the epoch by the database's clock, 0 for never; rates are events
    in 1000 seconds.
    """

    name = models.CharField(_("destination"), max_length=32, primary_key=True)
    touched = models.BigIntegerField(
        _("touched"), db_default=0, help_text=_("Counts up with each change, to lock the row.")
    )

    paused = models.BooleanField(_("paused"), db_default=False)
    reason = models.CharField(_("reason"), max_length=16, blank=True, db_default="")
    failures = models.PositiveIntegerField(_("failures in a row"), db_default=0)
    rejections = models.PositiveIntegerField(_("rejections in a row"), db_default=0)
    generation = models.BigIntegerField(_("generation"), db_default=0)
    blocked_until = models.BigIntegerField(_("blocked until"), db_default=0)
    probe_until = models.BigIntegerField(_("probe on its way until"), db_default=0)
    changed_at = models.BigIntegerField(_("changed at"), db_default=0)

    pace_next_slot = models.BigIntegerField(_("next slot"), db_default=0)
    pace_rate = models.BigIntegerField(_("adapted rate"), null=True, blank=True)
    pace_ceiling = models.BigIntegerField(_("rate before it was adapted"), db_default=0)
    pace_changed_at = models.BigIntegerField(_("rate changed at"), db_default=0)
    pace_throttled = models.TextField(_("throttled identifiers"), default="{}")
    pace_window_at = models.BigIntegerField(_("measured since"), db_default=0)
    pace_window_count = models.BigIntegerField(_("calls since"), db_default=0)
    pace_window_rate = models.BigIntegerField(_("measured rate"), db_default=0)

    fingerprint = models.CharField(
        _("fingerprint of the settings"), max_length=64, blank=True, db_default=""
    )
    last_success_at = models.BigIntegerField(_("last success at"), db_default=0)
    last_error_at = models.BigIntegerField(_("last error at"), db_default=0)
    last_status = models.PositiveSmallIntegerField(_("last error's status"), null=True, blank=True)
    last_error = models.CharField(_("last error"), max_length=500, blank=True, db_default="")
    relay_seen_at = models.BigIntegerField(_("relay last seen at"), db_default=0)
    delivered = models.BigIntegerField(_("delivered"), db_default=0)
    rejected = models.BigIntegerField(_("rejected"), db_default=0)
    retried = models.BigIntegerField(_("to be tried again"), db_default=0)
    dropped = models.BigIntegerField(
        _("dropped"), db_default=0, help_text=_("Browsing events shed from a full buffer.")
    )

    sample_events = models.PositiveIntegerField(
        _("events in the sample"),
        db_default=0,
        help_text=_("Of the events that one relay delivered last."),
    )
    sample_identifiers = models.PositiveIntegerField(
        _("different identifiers in the sample"), db_default=0
    )
    sample_most = models.PositiveIntegerField(
        _("events of the commonest identifier in the sample"), db_default=0
    )

    class Meta:
        verbose_name = _("gate")
        # What the admin shows of it.
        verbose_name_plural = _("dashboard")
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("operate_circuit", _("Can pause and resume delivery, and have it tried at once")),
        ]

    def __str__(self) -> str:
        return self.name


class HourlyCount(models.Model):
    """
    How many events of a type met with an outcome in one hour: what remains of delivered events.

    The ``with_`` columns say how complete delivered events were.
    """

    class Outcome(models.TextChoices):
        """What became of an event."""

        DELIVERED = "delivered", _("delivered")
        RETRIED = "retried", _("to be tried again")
        REJECTED = "rejected", _("rejected")
        DROPPED = "dropped", _("dropped")

    id = models.BigAutoField(primary_key=True)
    destination = models.CharField(_("destination"), max_length=32)
    hour = models.BigIntegerField(_("hour"), help_text=_("Hours since the epoch."))
    event_type = models.CharField(_("event type"), max_length=32)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome.choices)
    count = models.BigIntegerField(_("count"), db_default=0)
    with_user_id = models.BigIntegerField(_("with a user id"), db_default=0)
    with_persistent_id = models.BigIntegerField(_("with a persistent id"), db_default=0)
    with_both = models.BigIntegerField(_("with both ids"), db_default=0)
    with_page_id = models.BigIntegerField(_("with a page id"), db_default=0)
    with_referrer = models.BigIntegerField(_("with a referrer page id"), db_default=0)
    last_at = models.BigIntegerField(
        _("last at"), db_default=0, help_text=_("Microseconds since the epoch.")
    )
    last_event_id = ExactCharField(_("last event id"), max_length=128, blank=True, db_default="")

    class Meta:
        verbose_name = _("hourly count")
        # What the admin shows of them.
        verbose_name_plural = _("integration checklist")
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["destination", "hour", "event_type", "outcome"],
                name="moloco_rmp_hourly_count",
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.event_type} {self.outcome}"
