"""The contract of datasync, on all four sides of the seam."""

from uuid import uuid4

import pytest

from apps.core.seam.errors import Forbidden, InvalidArguments
from apps.core.seam.registry import call
from apps.datasync.interface import DATASYNC, IllegalSyncMove, SyncNotFound, SyncStatus, UnknownTable
from tests.world import World

TABLE = "contracts_landplot"


def start(world: World):
    return call(DATASYNC).start(ctx=world.ctx(), source_table=TABLE, target_service="contracts")


def test_a_table_is_copied_piece_by_piece_until_nothing_is_left(world: World):
    for _ in range(3):
        world.plot(world.person())
    sync = start(world)
    assert (sync.status, sync.records_processed) == (SyncStatus.RUNNING, 0)
    assert sync.records_total >= 3
    for _ in range(50):
        sync = call(DATASYNC).advance(ctx=world.ctx(), sync_id=sync.sync_id)
        if sync.status is not SyncStatus.RUNNING:
            break
    assert sync.status is SyncStatus.COMPLETED
    assert sync.records_processed >= sync.records_total
    assert sync.finished_at is not None
    assert sync in call(DATASYNC).list(ctx=world.ctx(), limit=200)
    compared = call(DATASYNC).compare(ctx=world.ctx(), source_table=TABLE, target_service="contracts")
    assert compared.target_rows >= sync.records_total


def test_pausing_stops_and_resuming_goes_on(world: World):
    sync = start(world)
    assert call(DATASYNC).pause(ctx=world.ctx(), sync_id=sync.sync_id).status is SyncStatus.PAUSED
    assert call(DATASYNC).advance(ctx=world.ctx(), sync_id=sync.sync_id).records_processed == 0
    assert call(DATASYNC).resume(ctx=world.ctx(), sync_id=sync.sync_id).status is SyncStatus.RUNNING


def test_what_is_cancelled_stays_so(world: World):
    sync = start(world)
    assert call(DATASYNC).cancel(ctx=world.ctx(), sync_id=sync.sync_id).status is SyncStatus.CANCELLED
    with pytest.raises(IllegalSyncMove) as refusal:
        call(DATASYNC).resume(ctx=world.ctx(), sync_id=sync.sync_id)
    assert refusal.value.status is SyncStatus.CANCELLED


@pytest.mark.parametrize("table", ["contracts_nothing", "authentication_user", "pg_class"])
def test_only_tables_of_the_service_are_copied(world: World, table: str):
    with pytest.raises(UnknownTable):
        call(DATASYNC).start(ctx=world.ctx(), source_table=table, target_service="contracts")


@pytest.mark.parametrize("table", ["contracts_x; DROP TABLE contracts_contract", "Contracts", ""])
def test_a_name_that_is_none_is_refused(world: World, table: str):
    with pytest.raises(InvalidArguments):
        call(DATASYNC).start(ctx=world.ctx(), source_table=table, target_service="contracts")


def test_administrators_only(world: World):
    person = world.person()
    with pytest.raises(Forbidden):
        call(DATASYNC).list(ctx=world.ctx(person))
    with pytest.raises(Forbidden):
        call(DATASYNC).start(ctx=world.ctx(person), source_table=TABLE, target_service="contracts")
    with pytest.raises(SyncNotFound):
        call(DATASYNC).get(ctx=world.ctx(person, "administrator"), sync_id=uuid4())


def test_a_table_that_the_target_cannot_hold_fails_and_says_why(here: World):
    here.contract(here.person(), here.person())  # its plot is not on the other side
    sync = call(DATASYNC).start(ctx=here.ctx(), source_table="contracts_party", target_service="contracts")
    sync = call(DATASYNC).advance(ctx=here.ctx(), sync_id=sync.sync_id)
    assert sync.status is SyncStatus.FAILED
    assert "foreign key" in sync.error
