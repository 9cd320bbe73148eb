"""The outbox's table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _

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
        _("event id"), max_length=128, unique=True, help_text=_("The id that Moloco gets.")
    )
    event_type = models.CharField(_("event type"), max_length=32)
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
            models.Index(fields=["state", "available_at", "id"], name="moloco_rmp_due"),
            models.Index(fields=["state", "finished_at"], name="moloco_rmp_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"
