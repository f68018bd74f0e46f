"""Canaries, their history, and the counts of both sides. Control data: it stays in the database of the flags."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.choices import named
from apps.core.ids import new_id
from apps.extraction.routing.judge.measures import Event
from apps.extraction.routing.judge.ruling import Reason, Verdict


class CanaryState(models.TextChoices):
    """The state of a canary. While one awaits a person it is still judged: harm still rolls it back."""

    RUNNING = "running", _("running")
    HELD = "held", _("held")
    AWAITING = "awaiting", _("awaits a decision")
    PROMOTED = "promoted", _("promoted")
    ROLLED_BACK = "rolled_back", _("rolled back")


class CanaryDeployment(models.Model):
    """One rollout of a service: a rising share of people served remotely, judged at every step."""

    OPEN = (CanaryState.RUNNING, CanaryState.HELD, CanaryState.AWAITING)

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    service = models.CharField(_("service"), max_length=32)
    state = models.CharField(_("state"), max_length=16, choices=CanaryState.choices, default=CanaryState.RUNNING)
    rules = models.JSONField(_("rules"))
    step = models.SmallIntegerField(_("step"), default=0)
    started_at = models.DateTimeField(_("started"), db_default=Now(), editable=False)
    step_started_at = models.DateTimeField(_("step started"), db_default=Now())
    ended_at = models.DateTimeField(_("ended"), null=True)
    judged_at = models.DateTimeField(_("judged"), null=True)
    not_known_since = models.DateTimeField(_("not known since"), null=True)
    verdict = models.CharField(_("verdict"), max_length=16, choices=named(Verdict), default=Verdict.WATCHING.value)
    judged_because = models.CharField(_("because"), max_length=16, choices=named(Reason), default=Reason.TIME.value)
    evidence = models.JSONField(_("evidence"), default=dict)
    numbers = models.JSONField(_("numbers"), default=dict)
    thresholds = models.JSONField(_("local quantiles by method, s"), default=dict)
    shadow_before = models.DecimalField(_("shadowed before"), max_digits=5, decimal_places=2, default=0)
    who = models.CharField(_("who"), max_length=254)
    reason = models.TextField(_("reason"), blank=True)

    class Meta:
        verbose_name = _("canary")
        verbose_name_plural = _("canaries")
        ordering = ("-started_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("service",), condition=models.Q(ended_at__isnull=True), name="extraction_canary_one_open"
            ),
        )

    def __str__(self) -> str:
        return f"{self.service}, {self.started_at:%Y-%m-%d %H:%M}"


class CanaryEntry(models.Model):
    """A line of a canary's history: an action of a person, or a ruling with its numbers."""

    id = models.BigAutoField(primary_key=True)
    canary = models.ForeignKey(CanaryDeployment, models.CASCADE, related_name="entries")
    at = models.DateTimeField(_("at"), db_default=Now(), editable=False)
    action = models.CharField(_("action"), max_length=16)
    share = models.DecimalField(_("share, %"), max_digits=5, decimal_places=2)
    verdict = models.CharField(_("verdict"), max_length=16, blank=True)
    judged_because = models.CharField(_("because"), max_length=16, blank=True)
    evidence = models.JSONField(_("evidence"), default=dict)
    numbers = models.JSONField(_("numbers"), default=dict)
    who = models.CharField(_("who"), max_length=254)
    reason = models.TextField(_("reason"), blank=True)

    class Meta:
        verbose_name = _("line of a canary's history")
        verbose_name_plural = _("canaries' history")
        ordering = ("-id",)
        indexes = (models.Index(fields=("canary", "-id"), name="extraction_canary_history"),)

    def __str__(self) -> str:
        return f"{self.action} {self.share} %"


class CanaryFirst(models.Model):
    """The first time in a step that an event happened to a unit. The unit is a digest and names no person."""

    id = models.BigAutoField(primary_key=True)
    canary = models.ForeignKey(CanaryDeployment, models.CASCADE, related_name="+")
    step = models.SmallIntegerField()
    event = models.CharField(max_length=12, choices=named(Event))
    unit = models.BigIntegerField()
    away = models.BooleanField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("first event of a unit")
        verbose_name_plural = _("first events of units")
        constraints = (
            models.UniqueConstraint(fields=("canary", "step", "event", "unit"), name="extraction_canary_first"),
        )

    def __str__(self) -> str:
        return f"{self.event} {self.unit:x}"


class CanaryCalls(models.Model):
    """The calls of one side that one process made within some seconds of a step, by method."""

    id = models.BigAutoField(primary_key=True)
    canary = models.ForeignKey(CanaryDeployment, models.CASCADE, related_name="+")
    step = models.SmallIntegerField()
    method = models.CharField(max_length=64)
    away = models.BooleanField()
    process = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now())
    calls = models.IntegerField()
    errors = models.IntegerField()
    refused = models.IntegerField()
    # Counts of times, each bucket a quarter power of two wide (`latencies.py`).
    times = ArrayField(models.IntegerField())

    class Meta:
        verbose_name = _("calls during a canary")
        verbose_name_plural = _("calls during canaries")
        indexes = (models.Index(fields=("canary", "step", "at"), name="extraction_canary_calls"),)

    def __str__(self) -> str:
        return f"{self.method}: {self.calls}"


class CallObserver(models.Model):
    """A process that observes calls, and when it last reported."""

    process = models.CharField(primary_key=True, max_length=64)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("observer of calls")
        verbose_name_plural = _("observers of calls")

    def __str__(self) -> str:
        return self.process
