"""Synchronisations, and this app's own commands and outbox. Control data: these tables stay in the shared database."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.ids import new_id
from apps.core.seam.server.tables import CommandRecord, OutboxRecord


class Sync(models.Model):
    """One synchronisation of one table, or of all tables of a service (`source_table` empty)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source_table = models.CharField(_("table"), max_length=63, blank=True)
    target_service = models.CharField(_("service"), max_length=32)
    sync_type = models.CharField(_("kind"), max_length=12)
    status = models.CharField(_("status"), max_length=12)
    phase = models.CharField(_("phase"), max_length=16, default="waiting", db_default="waiting")
    attempt = models.IntegerField(_("attempt"), default=0, db_default=0)
    records_processed = models.BigIntegerField(_("rows copied"), default=0)
    records_total = models.BigIntegerField(_("rows at the start"), default=0)
    bytes_processed = models.BigIntegerField(_("bytes copied"), default=0, db_default=0)
    bytes_total = models.BigIntegerField(_("bytes at the start"), default=0, db_default=0)
    copying_since = models.DateTimeField(_("copying since"), null=True)
    copied_at = models.DateTimeField(_("copied at"), null=True)
    seen_at = models.DateTimeField(_("newest change seen"), null=True)
    lag_bytes = models.BigIntegerField(_("log not confirmed, bytes"), null=True)
    started_at = models.DateTimeField(_("started"), db_default=Now(), editable=False)
    error = models.TextField(_("error"), blank=True)
    finished_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("synchronisation")
        verbose_name_plural = _("synchronisations")
        ordering = ("-started_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("target_service", "source_table"),
                condition=models.Q(status__in=("running", "paused")),
                name="datasync_one_at_a_time",
            ),
        )

    def __str__(self) -> str:
        return str(self.source_table or self.target_service)


class Verification(models.Model):
    """One comparison of all rows of a service. `progress` is each table's last compared key, or true when done."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    target_service = models.CharField(_("service"), max_length=32)
    status = models.CharField(_("status"), max_length=12)
    rows_compared = models.BigIntegerField(_("rows compared"), default=0)
    rows_total = models.BigIntegerField(_("rows at the start"), default=0)
    backlog = models.BigIntegerField(_("changed rows to compare"), default=0)
    seconds = models.FloatField(_("seconds spent"), default=0)
    progress = models.JSONField(_("progress"), default=dict)
    started_at = models.DateTimeField(_("started"), db_default=Now(), editable=False)
    compared_at = models.DateTimeField(_("all compared at"), null=True)
    checked_at = models.DateTimeField(_("changes last compared at"), null=True)
    error = models.TextField(_("error"), blank=True)

    class Meta:
        verbose_name = _("verification")
        verbose_name_plural = _("verifications")
        ordering = ("-started_at",)

    def __str__(self) -> str:
        return str(self.target_service)


class Difference(models.Model):
    """A row that is not the same on both sides. `is_certain` is set by a comparison with nothing in transit."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    verification = models.ForeignKey(Verification, on_delete=models.CASCADE, related_name="differences")
    table = models.CharField(_("table"), max_length=63)
    key = ArrayField(models.TextField(), verbose_name=_("key"))
    kind = models.CharField(_("kind"), max_length=8, blank=True)
    fields = ArrayField(models.TextField(), verbose_name=_("fields that differ"), default=list)
    is_certain = models.BooleanField(_("certain"), default=False)
    found_at = models.DateTimeField(_("found"), db_default=Now())

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        ordering = ("table", "key")
        constraints = (
            models.UniqueConstraint(fields=("verification", "table", "key"), name="datasync_difference_once"),
        )

    def __str__(self) -> str:
        return f"{self.table} {self.key}"


class Command(CommandRecord):
    """This app's executed commands."""


class Outbox(OutboxRecord):
    """This app's events."""
