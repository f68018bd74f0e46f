"""Progress of synchronisations and comparisons, read from their records at each scrape: correct in every process."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Q
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from apps.datasync.interface import SyncPhase, SyncStatus, VerificationStatus
from apps.datasync.models import Sync, Verification


class SyncCollector:
    """Live synchronisations and comparisons, by service and table (empty for all tables)."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """`data_sync_*` and `data_verify_*`. Raises: django.db.Error where the records cannot be read."""
        yield from (*_syncs(), *_verifications())


def _syncs() -> list[GaugeMetricFamily]:
    labels = ["service", "table"]
    delay = GaugeMetricFamily(
        "data_sync_delay_seconds", "Age of the newest change that the target has seen", labels=labels
    )
    lag = GaugeMetricFamily("data_sync_lag_bytes", "Log that the target has not confirmed", labels=labels)
    rows = GaugeMetricFamily("data_sync_rows_copied", "Rows copied so far", labels=labels)
    total = GaugeMetricFamily("data_sync_rows_to_copy", "Rows that there were at the start", labels=labels)
    phase = GaugeMetricFamily("data_sync_phase", "1 for what a live synchronisation does", labels=[*labels, "phase"])
    now = timezone.now()
    for sync in Sync.objects.filter(status__in=(SyncStatus.RUNNING, SyncStatus.PAUSED)):
        named = [sync.target_service, sync.source_table]
        rows.add_metric(named, sync.records_processed)
        total.add_metric(named, sync.records_total)
        phase.add_metric([*named, sync.phase], 1)
        if sync.phase == SyncPhase.FOLLOWING and sync.seen_at is not None:
            delay.add_metric(named, (now - sync.seen_at).total_seconds())
            lag.add_metric(named, sync.lag_bytes or 0)
    return [delay, lag, rows, total, phase]


def _verifications() -> list[GaugeMetricFamily]:
    differences = GaugeMetricFamily("data_verify_differences", "Rows that are not the same", labels=["service"])
    backlog = GaugeMetricFamily(
        "data_verify_backlog_rows", "Changed rows that are yet to be compared", labels=["service"]
    )
    live = Verification.objects.filter(status__in=(VerificationStatus.RUNNING, VerificationStatus.FOLLOWING))
    for row in live.annotate(certain=Count("differences", filter=Q(differences__is_certain=True))):
        differences.add_metric([row.target_service], row.certain)
        backlog.add_metric([row.target_service], row.backlog)
    return [differences, backlog]
