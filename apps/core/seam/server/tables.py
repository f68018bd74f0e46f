"""The abstract models of the two tables that every bounded app has: its commands and its outbox.

The tables are relocated with the app, so they are declared here and created in each app.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.ids import new_id


class CommandRecord(models.Model):
    """One executed command. `id` is derived from method, actor and key, so that the primary key is the claim."""

    id = models.UUIDField(primary_key=True, editable=False)
    method = models.CharField(max_length=64)
    actor_id = models.UUIDField(null=True)
    key = models.CharField(max_length=200)
    arguments_digest = models.BinaryField(max_length=32)
    answer = models.BinaryField(null=True)
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        abstract = True
        verbose_name = _("executed command")
        verbose_name_plural = _("executed commands")

    def __str__(self) -> str:
        return f"{self.method} {self.key}"


class OutboxRecord(models.Model):
    """One event for one consumer, written in the transaction of its cause. The sequence counts per aggregate."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    event_id = models.UUIDField()
    consumer = models.CharField(max_length=32)
    type = models.CharField(max_length=80)
    aggregate_id = models.UUIDField()
    sequence = models.BigIntegerField()
    payload = models.BinaryField()
    actor_id = models.UUIDField(null=True)
    request_id = models.CharField(max_length=64)
    trace = models.CharField(max_length=64)
    occurred_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0, db_default=0)
    last_error = models.TextField(default="", db_default="", blank=True)

    class Meta:
        abstract = True
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = (
            models.UniqueConstraint(fields=("aggregate_id", "consumer", "sequence"), name="%(app_label)s_out_order"),
        )
        indexes = (
            models.Index(
                fields=("aggregate_id", "consumer", "sequence"),
                condition=Q(delivered_at__isnull=True),
                name="%(app_label)s_out_wait",
            ),
            models.Index(fields=("delivered_at",), name="%(app_label)s_out_done"),
        )

    def __str__(self) -> str:
        return f"{self.type} #{self.sequence} -> {self.consumer}"
