"""Keeps what shadowing found, masked, and forgets it in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from apps.core.seam.comparison import Verdict, masked
from apps.core.seam.shadow import Compared
from apps.extraction.models import ShadowComparison

MATCHES_KEPT = timedelta(days=1)
DIFFERENCES_KEPT = timedelta(days=30)


def record(found: Sequence[Compared]) -> None:
    """Store comparisons in one statement."""
    ShadowComparison.objects.bulk_create([_row(compared) for compared in found])


def _row(compared: Compared) -> ShadowComparison:
    sample, finding = compared.sample, compared.finding
    operation = sample.operation
    return ShadowComparison(
        service=operation.service,
        method=operation.name,
        verdict=finding.verdict.value,
        fields=list(finding.fields),
        noise=list(finding.noise),
        asked_twice=finding.asked_twice,
        primary_side=sample.side,
        primary_ms=round(sample.seconds * 1000, 3),
        other_ms=round(compared.other_seconds * 1000, 3),
        request_id=sample.ctx.request_id,
        trace=sample.ctx.trace,
        arguments=masked(operation.decode_arguments(sample.arguments)),
        primary_answer=masked(finding.primary),
        other_answer=masked(finding.other),
    )


def forget() -> int:
    """Delete what nobody will look at any more; how many."""
    now = timezone.now()
    matches, _ = ShadowComparison.objects.filter(
        verdict=Verdict.MATCH.value, compared_at__lt=now - MATCHES_KEPT
    ).delete()
    rest, _ = ShadowComparison.objects.filter(compared_at__lt=now - DIFFERENCES_KEPT).delete()
    return matches + rest
