"""Rows as DTOs, here only; fields are listed one by one."""

from datetime import datetime, timedelta
from decimal import Decimal

from apps.datasync import interface, models


def sync(row: models.Sync, now: datetime) -> interface.Sync:
    """A synchronisation as it stands now."""
    seconds = (
        ((row.copied_at or row.finished_at or now) - row.copying_since).total_seconds() if row.copying_since else 0.0
    )
    rate = row.records_processed / seconds if seconds > 0 else 0.0
    is_copying = row.phase == interface.SyncPhase.COPYING and row.bytes_processed > 0
    is_following = row.phase == interface.SyncPhase.FOLLOWING
    seconds_left = max(row.bytes_total - row.bytes_processed, 0) * seconds / row.bytes_processed if is_copying else None
    return interface.Sync(
        sync_id=row.id,
        source_table=row.source_table,
        target_service=row.target_service,
        sync_type=interface.SyncType(row.sync_type),
        status=interface.SyncStatus(row.status),
        records_processed=row.records_processed,
        records_total=row.records_total,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=row.error,
        phase=interface.SyncPhase(row.phase),
        bytes_processed=row.bytes_processed,
        bytes_total=row.bytes_total,
        rows_per_second=round(rate),
        seconds_left=None if seconds_left is None else round(seconds_left),
        lag_seconds=_lag(row.seen_at, now) if is_following and row.seen_at else None,
        lag_bytes=row.lag_bytes if is_following else None,
        attempt=row.attempt,
    )


def _lag(seen_at: datetime, now: datetime) -> Decimal:
    """The age of `seen_at` in seconds, to the millisecond."""
    return max(Decimal((now - seen_at) // timedelta(milliseconds=1)), Decimal(0)) / 1000


def verification(row: models.Verification, differences: int) -> interface.Verification:
    """A verification, with the number of rows that are certain to differ."""
    return interface.Verification(
        verification_id=row.id,
        target_service=row.target_service,
        status=interface.VerificationStatus(row.status),
        rows_compared=row.rows_compared,
        rows_total=row.rows_total,
        differences=differences,
        backlog=row.backlog,
        rows_per_second=round(row.rows_compared / row.seconds) if row.seconds else 0,
        started_at=row.started_at,
        compared_at=row.compared_at,
        checked_at=row.checked_at,
        error=row.error,
    )


def difference(row: models.Difference) -> interface.Difference:
    """A row that differs."""
    return interface.Difference(
        table=row.table,
        key=tuple(row.key),
        kind=interface.DifferenceKind(row.kind),
        fields=tuple(row.fields),
    )
