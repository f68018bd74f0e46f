"""The checklist's results, sign-offs and overrides. Control data, like the record of actions."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.ids import new_id


class ItemState(models.TextChoices):
    """The state of an item. Any state but `holds` stands against a decommissioning."""

    HOLDS = "holds", _("holds")
    FAILS = "fails", _("fails")
    NOT_KNOWN = "not_known", _("not known")


class ChecklistResult(models.Model):
    """One check of one item, with its evidence. It counts until `valid_until`; from then on the item is not known."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    service = models.CharField(_("service"), max_length=32)
    item = models.CharField(_("item"), max_length=32)
    state = models.CharField(_("state"), max_length=9, choices=ItemState.choices)
    reason = models.TextField(_("reason"))
    evidence = models.JSONField(_("evidence"), default=dict)
    checked_at = models.DateTimeField(_("checked"))
    valid_until = models.DateTimeField(_("valid until"))
    took_ms = models.FloatField(_("took, ms"))

    class Meta:
        verbose_name = _("result of a check")
        verbose_name_plural = _("results of checks")
        ordering = ("-checked_at",)
        indexes = (models.Index(fields=("service", "item", "-checked_at"), name="extraction_check_recent"),)

    def __str__(self) -> str:
        return f"{self.item} of {self.service}: {self.state}"


class SignOff(models.Model):
    """A person's statement about what no program can check. It is never changed and never deleted; it expires."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    service = models.CharField(_("service"), max_length=32)
    item = models.CharField(_("item"), max_length=32)
    who = models.CharField(_("who"), max_length=254)
    statement = models.TextField(_("what"))
    keep_days = models.PositiveIntegerField(_("backup kept, days"), null=True)
    signed_at = models.DateTimeField(_("signed"), db_default=Now(), editable=False)
    valid_until = models.DateTimeField(_("valid until"))

    class Meta:
        verbose_name = _("sign-off")
        verbose_name_plural = _("sign-offs")
        ordering = ("-signed_at",)
        indexes = (models.Index(fields=("service", "item", "-signed_at"), name="extraction_signoff_recent"),)
        triggers = (pgtrigger.Protect(name="for_ever", operation=pgtrigger.Update | pgtrigger.Delete),)

    def __str__(self) -> str:
        return f"{self.item} of {self.service}, {self.who}"


class Override(models.Model):
    """An item, or all, overridden once by two people with a reason each. Kept for ever."""

    ALL = "all"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    service = models.CharField(_("service"), max_length=32)
    item = models.CharField(_("item"), max_length=32)
    asked_by = models.CharField(_("asked by"), max_length=254)
    asked_where = models.CharField(_("where"), max_length=64)
    asked_reason = models.TextField(_("reason"))
    asked_at = models.DateTimeField(_("asked"), db_default=Now(), editable=False)
    confirmed_by = models.CharField(_("confirmed by"), max_length=254, blank=True)
    confirmed_reason = models.TextField(_("second reason"), blank=True)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    used_at = models.DateTimeField(_("used"), null=True)
    used_by = models.UUIDField(_("used by action"), null=True)

    class Meta:
        verbose_name = _("override")
        verbose_name_plural = _("overrides")
        ordering = ("-asked_at",)
        indexes = (models.Index(fields=("service", "-asked_at"), name="extraction_override_recent"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(confirmed_by="") | ~Q(confirmed_by__iexact=F("asked_by")), name="extraction_override_by_two"
            ),
            models.CheckConstraint(
                condition=Q(used_at__isnull=True) | Q(confirmed_at__isnull=False), name="extraction_override_confirmed"
            ),
        )
        triggers = (pgtrigger.Protect(name="for_ever", operation=pgtrigger.Delete),)

    def __str__(self) -> str:
        return f"{self.item} of {self.service}, {self.asked_by}"
