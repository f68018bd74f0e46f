"""Synchronisations, and this app's own commands and outbox. Control data: these tables never move."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.ids import new_id
from apps.core.ledgers import CommandRecord, OutboxRecord


class Sync(models.Model):
    """One synchronisation of one table; `last_key` is the last primary key copied, as text."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source_table = models.CharField(_("table"), max_length=63)
    target_service = models.CharField(_("service"), max_length=32)
    sync_type = models.CharField(_("kind"), max_length=12)
    status = models.CharField(_("status"), max_length=12)
    records_processed = models.BigIntegerField(_("rows copied"), default=0)
    records_total = models.BigIntegerField(_("rows at the start"), default=0)
    last_key = models.TextField(_("last key"), null=True)
    started_at = models.DateTimeField(_("started"), db_default=Now(), editable=False)
    error = models.TextField(_("error"), blank=True)
    finished_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("synchronisation")
        verbose_name_plural = _("synchronisations")
        ordering = ("-started_at",)

    def __str__(self) -> str:
        return str(self.source_table)


class Command(CommandRecord):
    """This app's executed commands."""


class Outbox(OutboxRecord):
    """This app's events."""
