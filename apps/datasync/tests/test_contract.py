"""The contract of datasync, on all four sides of the seam."""

import time
from uuid import uuid4

import pytest

from apps.core.interface.errors import Forbidden, InvalidArguments
from apps.core.postgres.migrate_service import prepare
from apps.core.seam.client.registry import call
from apps.datasync.interface import (
    DATASYNC,
    AlreadySyncing,
    IllegalSyncMove,
    NoTarget,
    NotFollowing,
    SyncNotFound,
    SyncPhase,
    SyncStatus,
    SyncType,
    UnknownTable,
    VerificationNotFound,
    VerificationStatus,
)
from tests.world import World

TABLE = "contracts_landplot"


@pytest.fixture(scope="module", autouse=True)
def own_database(database: None):
    prepare("contracts")


@pytest.fixture(autouse=True)
def no_leftovers(world: World):
    yield
    for sync in call(DATASYNC).list(ctx=world.ctx(), limit=200):
        if sync.status in {SyncStatus.RUNNING, SyncStatus.PAUSED}:
            call(DATASYNC).cancel(ctx=world.ctx(), sync_id=sync.sync_id)


def start(world: World, table: str | None = TABLE, sync_type: SyncType = SyncType.FULL):
    return call(DATASYNC).start(ctx=world.ctx(), source_table=table, target_service="contracts", sync_type=sync_type)


def until(world: World, sync, wanted, seconds: float = 60):
    """Advance a synchronisation until it is as wanted."""
    deadline = time.monotonic() + seconds
    while not wanted(sync):
        assert time.monotonic() < deadline, sync
        sync = call(DATASYNC).advance(ctx=world.ctx(), sync_id=sync.sync_id)
    return sync


def ended(sync) -> bool:
    return sync.status is not SyncStatus.RUNNING


def test_a_table_is_copied_whole(world: World):
    for _ in range(3):
        world.plot(world.person())
    sync = start(world)
    assert (sync.status, sync.records_processed, sync.phase) == (SyncStatus.RUNNING, 0, SyncPhase.WAITING)
    sync = until(world, sync, ended)
    assert (sync.status, sync.phase) == (SyncStatus.COMPLETED, SyncPhase.ENDED), sync.error
    assert sync.records_processed >= 3
    assert sync.finished_at is not None
    assert sync.sync_id in {listed.sync_id for listed in call(DATASYNC).list(ctx=world.ctx(), limit=200)}
    compared = call(DATASYNC).compare(ctx=world.ctx(), source_table=TABLE, target_service="contracts")
    assert compared.target_rows == sync.records_processed
    assert compared.equal


def test_all_tables_of_a_service_are_followed_and_compared_until_it_is_cancelled(world: World):
    with pytest.raises(NotFollowing):
        call(DATASYNC).verify(ctx=world.ctx(), target_service="contracts")
    sync = until(world, start(world, None, SyncType.INCREMENTAL), lambda sync: sync.phase is SyncPhase.FOLLOWING)
    assert (sync.source_table, sync.status) == ("", SyncStatus.RUNNING)
    world.plot(world.person())
    sync = until(world, sync, lambda sync: sync.lag_seconds is not None and sync.lag_bytes is not None)
    with pytest.raises(AlreadySyncing) as refusal:
        start(world)
    assert refusal.value.sync_id == sync.sync_id

    verification = call(DATASYNC).verify(ctx=world.ctx(), target_service="contracts", anew=True)
    deadline = time.monotonic() + 60
    while verification.compared_at is None or verification.checked_at is None:
        assert time.monotonic() < deadline, verification
        verification = call(DATASYNC).verification(ctx=world.ctx(), target_service="contracts")
    assert (verification.status, verification.differences, verification.error) == (VerificationStatus.FOLLOWING, 0, "")
    assert call(DATASYNC).differences(ctx=world.ctx(), target_service="contracts") == ()
    stopped = call(DATASYNC).stop_verification(ctx=world.ctx(), target_service="contracts")
    assert stopped.status is VerificationStatus.STOPPED

    cancelled = call(DATASYNC).cancel(ctx=world.ctx(), sync_id=sync.sync_id)
    assert (cancelled.status, cancelled.phase) == (SyncStatus.CANCELLED, SyncPhase.ENDED)
    assert cancelled.finished_at is not None
    assert call(DATASYNC).sweep(ctx=world.ctx()) == ()


def test_pausing_stops_and_resuming_goes_on(world: World):
    sync = start(world)
    assert call(DATASYNC).pause(ctx=world.ctx(), sync_id=sync.sync_id).status is SyncStatus.PAUSED
    assert call(DATASYNC).advance(ctx=world.ctx(), sync_id=sync.sync_id).records_processed == 0
    assert call(DATASYNC).resume(ctx=world.ctx(), sync_id=sync.sync_id).status is SyncStatus.RUNNING
    assert until(world, sync, ended).status is SyncStatus.COMPLETED


def test_a_cancelled_sync_stays_cancelled(world: World):
    sync = start(world)
    assert call(DATASYNC).cancel(ctx=world.ctx(), sync_id=sync.sync_id).status is SyncStatus.CANCELLED
    with pytest.raises(IllegalSyncMove) as refusal:
        call(DATASYNC).resume(ctx=world.ctx(), sync_id=sync.sync_id)
    assert refusal.value.status is SyncStatus.CANCELLED


@pytest.mark.parametrize("table", ["contracts_nothing", "authentication_user", "pg_class"])
def test_only_tables_of_the_service_are_copied(world: World, table: str):
    with pytest.raises(UnknownTable):
        start(world, table)


@pytest.mark.parametrize("table", ["contracts_x; DROP TABLE contracts_contract", "Contracts", ""])
def test_a_name_that_is_none_is_refused(world: World, table: str):
    with pytest.raises(InvalidArguments):
        start(world, table)


def test_a_service_that_never_moves_has_no_target(world: World):
    with pytest.raises(NoTarget):
        call(DATASYNC).start(ctx=world.ctx(), source_table="datasync_sync", target_service="datasync")


def test_a_missing_verification_is_not_found(world: World):
    with pytest.raises(VerificationNotFound):
        call(DATASYNC).verification(ctx=world.ctx(), target_service="signatures")


def test_administrators_only(world: World):
    person = world.person()
    with pytest.raises(Forbidden):
        call(DATASYNC).list(ctx=world.ctx(person))
    with pytest.raises(Forbidden):
        call(DATASYNC).start(ctx=world.ctx(person), source_table=TABLE, target_service="contracts")
    with pytest.raises(SyncNotFound):
        call(DATASYNC).get(ctx=world.ctx(person, "administrator"), sync_id=uuid4())
