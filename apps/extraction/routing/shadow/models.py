"""The shadow comparisons. Control data: it stays in the database of the flags."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.choices import named
from apps.core.ids import new_id
from apps.core.seam.client.comparison import Verdict


class ShadowComparison(models.Model):
    """One query answered by both sides of a service.

    Free text in arguments and answers is masked before it is stored.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    compared_at = models.DateTimeField(_("compared at"), db_default=Now())
    service = models.CharField(_("service"), max_length=32)
    method = models.CharField(_("method"), max_length=64)
    verdict = models.CharField(_("verdict"), max_length=16, choices=named(Verdict))
    fields = ArrayField(models.TextField(), verbose_name=_("fields that differ"), default=list)
    noise = ArrayField(models.TextField(), verbose_name=_("fields that vary by themselves"), default=list)
    asked_twice = models.BooleanField(_("primary asked twice"), default=False)
    primary_side = models.CharField(_("primary side"), max_length=8)
    primary_ms = models.FloatField(_("primary, ms"))
    other_ms = models.FloatField(_("other, ms"))
    request_id = models.CharField(_("request"), max_length=64)
    trace = models.CharField(_("trace"), max_length=64)
    arguments = models.JSONField(_("arguments, masked"))
    primary_answer = models.JSONField(_("primary answer, masked"))
    other_answer = models.JSONField(_("other answer, masked"))

    class Meta:
        verbose_name = _("shadow comparison")
        verbose_name_plural = _("shadow comparisons")
        ordering = ("-compared_at",)
        indexes = (
            models.Index(fields=("service", "method", "-compared_at"), name="extraction_shadow_recent"),
            models.Index(fields=("verdict", "-compared_at"), name="extraction_shadow_verdict"),
            models.Index(fields=("request_id",), name="extraction_shadow_request"),
            GinIndex(fields=("fields",), name="extraction_shadow_fields"),
        )

    def __str__(self) -> str:
        return f"{self.service}.{self.method}: {self.verdict}"
