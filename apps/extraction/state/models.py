"""The record of every action on a service's data. Control data: it stays in the database of the flags."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.ids import new_id


class Outcome(models.TextChoices):
    """How an action ended. An action whose process died keeps `running`; the databases show what it did."""

    ASKED = "asked", _("asked for")
    RUNNING = "running", _("running")
    DONE = "done", _("done")
    REFUSED = "refused", _("refused")
    FAILED = "failed", _("failed")


class Move(models.Model):
    """One action on a service's data: its checks, its steps, how long writes waited.

    The outcome is recorded at its end.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    service = models.CharField(_("service"), max_length=32)
    verb = models.CharField(_("action"), max_length=16)
    who = models.CharField(_("who"), max_length=254)
    where = models.CharField(_("where"), max_length=64)
    reason = models.TextField(_("reason"), blank=True)
    started_at = models.DateTimeField(_("started"), db_default=Now(), editable=False)
    ended_at = models.DateTimeField(_("ended"), null=True)
    outcome = models.CharField(_("outcome"), max_length=8, choices=Outcome.choices, default=Outcome.RUNNING)
    problem = models.TextField(_("problem"), blank=True)
    epoch = models.BigIntegerField(_("epoch"), null=True)
    attempts = models.IntegerField(_("attempts"), null=True)
    pause_ms = models.FloatField(_("write pause, ms"), null=True)
    checks = models.JSONField(_("checks"), default=list)
    steps = models.JSONField(_("steps"), default=list)
    facts = models.JSONField(_("facts"), default=dict)

    class Meta:
        verbose_name = _("action on a service's data")
        verbose_name_plural = _("actions on services' data")
        ordering = ("-started_at",)
        permissions = (("act_move", _("May act on services' data and migrations")),)
        indexes = (models.Index(fields=("service", "-started_at"), name="extraction_move_recent"),)

    def __str__(self) -> str:
        return f"{self.verb} {self.service}"


ACT = "extraction.act_move"  # the permission to act, of `Move`


class Dashboard(Move):
    """The dashboard's entry in the admin: its page, and the permission to view it. It has no rows of its own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = _("migration dashboard")
        verbose_name_plural = _("migration dashboard")
