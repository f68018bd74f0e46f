"""The only place where a synchronisation becomes a DTO; fields are listed one by one."""

from apps.datasync import interface, models


def sync(row: models.Sync) -> interface.Sync:
    """A synchronisation."""
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
    )
