"""Stores shadow comparisons, masked, and deletes them when they expire."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from django.db import connection
from django.utils import timezone

from apps.core.ids import new_id
from apps.core.seam.client.comparison import Verdict, masked
from apps.core.seam.client.shadow import Compared
from apps.extraction.routing.canary.observer import observer
from apps.extraction.routing.shadow.models import ShadowComparison

MATCHES_KEPT = timedelta(days=1)
DIFFERENCES_KEPT = timedelta(days=30)


# One statement and one parameter: rows through the ORM cost as much again as asking and comparing.
INSERT = """
INSERT INTO extraction_shadowcomparison (id, service, method, verdict, fields, noise, asked_twice, primary_side, primary_ms,
    other_ms, request_id, trace, arguments, primary_answer, other_answer)
SELECT id, service, method, verdict, ARRAY(SELECT jsonb_array_elements_text(fields)),
    ARRAY(SELECT jsonb_array_elements_text(noise)), asked_twice, primary_side, primary_ms, other_ms, request_id, trace,
    arguments, primary_answer, coalesce(other_answer, primary_answer)
FROM jsonb_to_recordset(%s::jsonb) AS row(id uuid, service text, method text, verdict text, fields jsonb, noise jsonb,
    asked_twice boolean, primary_side text, primary_ms float8, other_ms float8, request_id text, trace text,
    arguments jsonb, primary_answer jsonb, other_answer jsonb)
"""


def record(comparisons: Sequence[Compared]) -> None:
    """Store comparisons in one statement, and hand them to the canary's observer."""
    for compared in comparisons:
        ctx = compared.sample.ctx
        if ctx.unit:
            observer.compared(compared.sample.operation, ctx.unit, compared.finding.verdict)
    rows = msgspec.json.encode([_row(compared) for compared in comparisons]).decode()
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [rows])


def _row(compared: Compared) -> dict[str, Any]:
    sample, finding = compared.sample, compared.finding
    operation = sample.operation
    answer = masked(finding.primary)
    row = {
        "id": new_id(),
        "service": operation.service,
        "method": operation.name,
        "verdict": finding.verdict.value,
        "fields": finding.fields,
        "noise": finding.noise,
        "asked_twice": finding.asked_twice,
        "primary_side": sample.side,
        "primary_ms": round(sample.seconds * 1000, 3),
        "other_ms": round(compared.other_seconds * 1000, 3),
        "request_id": sample.ctx.request_id,
        "trace": sample.ctx.trace,
        "arguments": masked(operation.decode_arguments(sample.arguments)),
        "primary_answer": answer,
    }
    if finding.verdict is not Verdict.MATCH:  # answers that match are the same, masked once
        row["other_answer"] = masked(finding.other)
    return row


def forget() -> int:
    """Delete expired comparisons; returns how many."""
    now = timezone.now()
    matches, _ = ShadowComparison.objects.filter(
        verdict=Verdict.MATCH.value, compared_at__lt=now - MATCHES_KEPT
    ).delete()
    rest, _ = ShadowComparison.objects.filter(compared_at__lt=now - DIFFERENCES_KEPT).delete()
    return matches + rest
