"""The shop's own tables, made by ``migrate --run-syncdb``."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone


class Product(models.Model):
    """What a page shows, with others of its kind."""

    slug = models.SlugField(unique=True)
    kind = models.CharField(max_length=32, db_index=True)
    title = models.CharField(max_length=200)
    price = models.DecimalField(max_digits=10, decimal_places=2)

    def __str__(self) -> str:
        return self.title


class Order(models.Model):
    """What the shop writes in the transaction of a purchase, whatever else is in it."""

    number = models.CharField(max_length=32)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.number


class PlainRow(models.Model):
    """The outbox's columns and indexes, without any of its logic."""

    event_id = models.CharField(max_length=128, unique=True)
    event_type = models.CharField(max_length=32)
    payload = models.TextField()
    keeps_id = models.BooleanField(default=False)
    state = models.PositiveSmallIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    server_errors = models.PositiveSmallIntegerField(default=0)
    identifier = models.CharField(max_length=32, default="")
    available_at = models.DateTimeField(default=timezone.now)
    lease_token = models.CharField(max_length=32, default="")
    last_status = models.PositiveSmallIntegerField(null=True)
    last_error = models.CharField(max_length=500, default="")
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["state", "available_at", "id"], name="plain_row_due"),
            models.Index(fields=["state", "finished_at"], name="plain_row_finished"),
        ]

    def __str__(self) -> str:
        return self.event_id
