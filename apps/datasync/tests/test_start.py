"""Two administrators start the same synchronisation at one moment."""

import pytest

from apps.core.flags.routes import system_context
from apps.core.postgres.migrate_service import prepare
from apps.core.seam.client.registry import call
from apps.datasync import service
from apps.datasync.interface import DATASYNC, AlreadySyncing, SyncStatus, SyncType
from apps.datasync.models import Sync


def test_of_two_that_start_at_once_one_is_refused(database: None, monkeypatch):
    prepare("contracts")
    refuse = service._refuse_second

    def refuse_too_early(target_service: str, table: str | None) -> None:
        """The first look sees nothing, because the other's record comes a moment later."""
        monkeypatch.setattr(service, "_refuse_second", refuse)
        refuse(target_service, table)
        Sync.objects.create(
            source_table=table or "",
            target_service=target_service,
            sync_type=SyncType.FULL,
            status=SyncStatus.PAUSED,
        )

    monkeypatch.setattr(service, "_refuse_second", refuse_too_early)
    with pytest.raises(AlreadySyncing) as refused:
        call(DATASYNC).start(
            ctx=system_context("test", timeout_ms=30_000), source_table="contracts_landplot", target_service="contracts"
        )
    live = Sync.objects.filter(target_service="contracts", status__in=("running", "paused"))
    assert [row.id for row in live] == [refused.value.sync_id]
    cancelled = call(DATASYNC).cancel(ctx=system_context("test", timeout_ms=30_000), sync_id=refused.value.sync_id)
    assert cancelled.status is SyncStatus.CANCELLED
