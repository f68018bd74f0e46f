"""Copies: whole, stopped, killed, repeated; none leaves a slot behind."""

import os
import re
import signal
import subprocess
import sys

import pytest

from apps.core.postgres import replication
from apps.core.seam.client.registry import call
from apps.datasync.gateways import subscription
from apps.datasync.interface import DATASYNC, SyncPhase, SyncStatus, SyncType
from apps.datasync.models import Sync
from landcontracts.embedded.processes import inner_url
from landcontracts.embedded.stack import BASE
from tests.moves.conftest import ctx, followed, keys_of, settle, slots, stop, until

ROWS = 60_000


@pytest.fixture
def many(both, prepared: str):
    """Rows enough for several chunks, with every awkward value."""
    both.shared.execute(
        "INSERT INTO notifications_command (id, method, actor_id, key, arguments_digest, answer, created_at)"
        " SELECT gen_random_uuid(), 'bulk', CASE WHEN n % 3 = 0 THEN NULL ELSE gen_random_uuid() END, 'ключ\t' || n,"
        " decode(md5(n::text), 'hex'), CASE WHEN n % 5 = 0 THEN NULL ELSE convert_to(repeat('я', n % 400), 'UTF8') END,"
        f" now() - n * interval '1 microsecond' FROM generate_series(1, {ROWS}) n"
    )
    yield ROWS
    both.shared.execute("DELETE FROM notifications_command WHERE method = 'bulk'")
    both.shared.execute("VACUUM notifications_command")  # dead pages are pages to copy as well


@pytest.fixture(autouse=True)
def nothing_left(service: str, both, prepared: str):
    settle(service)
    stop(service)
    yield
    stop(service)
    assert slots(both) == []


def test_every_row_is_there_and_every_key_is_back(service: str, both, many: int):
    before = keys_of(both.own)
    followed(service)
    comparison = call(DATASYNC).compare(ctx=ctx(), source_table="notifications_command", target_service=service)
    assert comparison.equal
    assert comparison.target_rows >= many
    assert keys_of(both.own) == before == keys_of(both.shared)
    assert both.own.execute("SELECT count(*) FROM extraction.dropped_key").fetchone() == (0,)


def test_a_second_copy_replaces_what_the_first_left(service: str, both, many: int):
    followed(service)
    stop(service)
    both.own.execute("UPDATE notifications_command SET key = 'spoilt'")
    followed(service)
    assert call(DATASYNC).compare(ctx=ctx(), source_table="notifications_command", target_service=service).equal


def test_cancelled_while_it_copies_it_leaves_an_empty_table_with_its_keys(
    service: str, both, many: int, settings, monkeypatch
):
    from apps.datasync.gateways import row_copy

    before = keys_of(both.own)
    monkeypatch.setattr(row_copy, "CHUNK_PAGES", 8)
    settings.SYNC_JOBS = 1
    sync = call(DATASYNC).start(ctx=ctx(), target_service=service, sync_type=SyncType.INCREMENTAL)
    until(lambda: call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id).bytes_processed)
    assert call(DATASYNC).cancel(ctx=ctx(), sync_id=sync.sync_id).status is SyncStatus.CANCELLED
    until(lambda: keys_of(both.own) == before)
    until(lambda: not slots(both))


def test_paused_while_it_copies_it_waits_and_goes_on(service: str, both, many: int, settings, monkeypatch):
    from apps.datasync.gateways import row_copy

    monkeypatch.setattr(row_copy, "CHUNK_PAGES", 8)
    settings.SYNC_JOBS = 1
    sync = call(DATASYNC).start(ctx=ctx(), target_service=service, sync_type=SyncType.INCREMENTAL)
    until(lambda: call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id).bytes_processed)
    call(DATASYNC).pause(ctx=ctx(), sync_id=sync.sync_id)
    first = call(DATASYNC).get(ctx=ctx(), sync_id=sync.sync_id)
    assert first.status is SyncStatus.PAUSED
    call(DATASYNC).resume(ctx=ctx(), sync_id=sync.sync_id)
    current = until(
        lambda: (now := call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id)).phase is SyncPhase.FOLLOWING and now
    )
    assert current.attempt == 1
    assert call(DATASYNC).compare(ctx=ctx(), source_table="notifications_command", target_service=service).equal


def test_paused_while_it_follows_nothing_arrives_until_it_goes_on(service: str, both):
    sync = followed(service)
    call(DATASYNC).pause(ctx=ctx(), sync_id=sync.sync_id)
    query = "SELECT subenabled FROM pg_subscription WHERE subname = 'lc_notifications'"
    until(lambda: both.own.execute(query).fetchone() == (False,))
    both.shared.execute(
        "INSERT INTO notifications_command (id, method, key, arguments_digest) VALUES (gen_random_uuid(), 'x', 'meanwhile', '')"
    )
    arrived = "SELECT count(*) FROM notifications_command WHERE key = 'meanwhile'"
    assert both.own.execute(arrived).fetchone() == (0,)
    call(DATASYNC).resume(ctx=ctx(), sync_id=sync.sync_id)
    until(lambda: both.own.execute(arrived).fetchone() == (1,))
    both.shared.execute("DELETE FROM notifications_command WHERE key = 'meanwhile'")
    assert both.own.execute(query).fetchone() == (True,)


def test_the_process_that_copies_is_killed_and_leaves_no_slot_and_another_begins_anew(service: str, both, many: int):
    before = keys_of(both.own)
    sync = call(DATASYNC).start(ctx=ctx(), target_service=service, sync_type=SyncType.INCREMENTAL)
    program = (
        "import django, sys; django.setup()\n"
        "from apps.datasync.gateways import row_copy; row_copy.CHUNK_PAGES = 1\n"
        "from apps.datasync.logic import sync_worker; import uuid, time\n"
        "while True: sync_worker.ensure_running(uuid.UUID(sys.argv[1])); time.sleep(0.2)\n"  # as the worker's clock does
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "landcontracts.settings", "SYNC_JOBS": "1"}
    copier = subprocess.Popen([sys.executable, "-c", program, str(sync.sync_id)], cwd=BASE, env=environment)
    try:
        until(lambda: Sync.objects.get(id=sync.sync_id).records_processed)
        assert slots(both)
    finally:
        os.kill(copier.pid, signal.SIGKILL)
        copier.wait()
    until(lambda: not slots(both))
    assert keys_of(both.own) != before
    current = until(
        lambda: (now := call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id)).phase is SyncPhase.FOLLOWING and now,
        60,
    )
    assert current.status is SyncStatus.RUNNING
    assert keys_of(both.own) == before
    assert call(DATASYNC).compare(ctx=ctx(), source_table="notifications_command", target_service=service).equal


def test_a_slot_that_keeps_too_much_is_given_up_and_the_record_says_so(service: str, both, settings):
    sync = followed(service)
    settings.SYNC_SLOT_MAX_BYTES = -1
    until(lambda: call(DATASYNC).get(ctx=ctx(), sync_id=sync.sync_id).status is SyncStatus.FAILED)
    until(lambda: "slots dropped: lc_notifications" in call(DATASYNC).get(ctx=ctx(), sync_id=sync.sync_id).error)
    assert slots(both) == []


def test_a_slot_that_belongs_to_nothing_is_swept(service: str, both):
    from apps.core.postgres import connections

    with connections.replicator("default") as connection:
        replication.keep_slot(connection, "", "lc_sync_abandoned")
    assert "lc_sync_abandoned" in call(DATASYNC).sweep(ctx=ctx())


def test_rows_that_the_target_cannot_hold_fail_it_says_why_and_the_table_is_whole(service: str, both):
    """Another table of the target refers to a row that does not come."""
    both.own.execute("CREATE TABLE refers (n uuid)")
    both.own.execute("INSERT INTO refers VALUES (gen_random_uuid())")
    both.own.execute("ALTER TABLE refers ADD CONSTRAINT r FOREIGN KEY (n) REFERENCES notifications_mail NOT VALID")
    try:
        sync = call(DATASYNC).start(ctx=ctx(), source_table="notifications_mail", target_service=service)
        current = until(
            lambda: (
                (now := call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id)).status is not SyncStatus.RUNNING
                and now
            )
        )
        assert current.status is SyncStatus.COMPLETED, current.error  # it was not valid before either
        definition = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'r'"
        assert both.own.execute(definition).fetchone() == (
            "FOREIGN KEY (n) REFERENCES notifications_mail(id) NOT VALID",
        )
        both.own.execute("ALTER TABLE notifications_mail ADD CONSTRAINT never CHECK (attempts < 0) NOT VALID")
    finally:
        both.own.execute("DROP TABLE refers")
        both.own.execute("ALTER TABLE notifications_mail DROP CONSTRAINT IF EXISTS never")


def test_the_progress_of_a_sync_is_a_metric(service: str):
    import urllib.request

    followed(service)

    def exported() -> str:
        """Once every source has answered in time: at first none has a connection yet."""
        text = urllib.request.urlopen(f"{inner_url(os.environ['WEB_URL'])}/metrics").read().decode()
        return "" if re.search(r"^metrics_source_up\{.*\} 0", text, re.MULTILINE) else text

    text = until(exported)
    assert 'data_sync_delay_seconds{service="notifications",table=""}' in text
    assert 'data_sync_lag_bytes{service="notifications",table=""}' in text
    assert 'data_sync_phase{phase="following",service="notifications",table=""} 1.0' in text
    assert 'extraction_stage{service="notifications",stage="syncing"} 1.0' in text
    lag = r'^postgres_replication_lag_seconds\{application="lc_notifications",kind="logical",server=".*",stage="replay"\} [0-9.e-]+$'
    assert re.search(lag, text, re.MULTILINE)
    assert re.search(
        r'^postgres_slot_active\{database="landcontracts",.*slot="lc_notifications"\} 1.0$', text, re.MULTILINE
    )
    assert re.search(r'^postgres_subscription_silent_seconds\{.*subscription="lc_notifications"\} ', text, re.MULTILINE)


def test_a_copy_after_a_rollback_is_not_replicated_to_the_primary(service: str, both, many: int):
    """The way back of an earlier relocation still publishes the table that is emptied now."""
    from apps.extraction.relocation import actions
    from apps.extraction.state import stages
    from tests.moves.conftest import INITIATOR

    followed(service)
    actions.VERIFY.perform(service, INITIATOR, anew=True)
    actions.CUTOVER.perform(service, INITIATOR)
    actions.ROLLBACK.perform(service, INITIATOR)
    stop(service)
    sync = call(DATASYNC).start(ctx=ctx(), target_service=service, sync_type=SyncType.INCREMENTAL)
    refused = until(
        lambda: (
            (now := call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id)).status is not SyncStatus.RUNNING and now
        )
    )
    assert "extraction notifications abort" in refused.error
    assert both.shared.execute("SELECT count(*) FROM notifications_command").fetchone()[0] >= many
    actions.SYNC.perform(service, INITIATOR)  # which drops the old way back first
    assert stages.live_sync(service) is not None
    assert both.shared.execute("SELECT count(*) FROM notifications_command").fetchone()[0] >= many
    actions.ABORT.perform(service, INITIATOR)


def test_one_that_was_cancelled_at_its_last_chunk_does_not_empty_what_its_successor_filled(
    service: str, both, many: int
):
    from apps.datasync.gateways import row_copy, subscription, tables

    followed(service)
    with subscription.connect(service) as databases:
        chosen = tables.describe_all(databases.target, service)
        with pytest.raises(row_copy.IsPrimary, match="follows by another"):
            row_copy.empty(databases.target, service, chosen, by="an earlier one", again=True)
    assert both.own.execute("SELECT count(*) FROM notifications_command").fetchone()[0] >= many


def test_one_table_alone_is_followed_as_well(service: str, both):
    sync = call(DATASYNC).start(
        ctx=ctx(), source_table="notifications_command", target_service=service, sync_type=SyncType.INCREMENTAL
    )
    until(lambda: call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id).lag_seconds is not None)
    both.shared.execute(
        "INSERT INTO notifications_command (id, method, key, arguments_digest) VALUES (gen_random_uuid(), 'bulk', 'later', '')"
    )
    query = "SELECT count(*) FROM notifications_command WHERE key = 'later'"
    until(lambda: both.own.execute(query).fetchone() == (1,))
    both.shared.execute("DELETE FROM notifications_command WHERE key = 'later'")
    until(lambda: both.own.execute(query).fetchone() == (0,))


def test_two_tables_are_followed_at_once(service: str, both):
    tables_, lines = ("notifications_command", "notifications_mail"), []
    for table in tables_:
        sync = call(DATASYNC).start(
            ctx=ctx(), source_table=table, target_service=service, sync_type=SyncType.INCREMENTAL
        )
        until(lambda sync=sync: call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id).lag_seconds is not None)
        lines.append(subscription.line_of(service, table, sync.sync_id).name)
    for _ in range(2):
        for line in lines:
            assert replication.beat(both.shared, both.own, service, seconds=20, name=line) < 20
    errors = "SELECT subname, apply_error_count FROM pg_stat_subscription_stats WHERE subname = ANY(%s)"
    assert dict(both.own.execute(errors, [lines]).fetchall()) == dict.fromkeys(lines, 0)


def test_all_tables_are_copied_once_when_nothing_is_to_be_followed(service: str, both, many: int):
    sync = call(DATASYNC).start(ctx=ctx(), target_service=service)
    done = until(
        lambda: (
            (now := call(DATASYNC).advance(ctx=ctx(), sync_id=sync.sync_id)).status is not SyncStatus.RUNNING and now
        )
    )
    assert (done.status, done.phase) == (SyncStatus.COMPLETED, SyncPhase.ENDED), done.error
    assert done.records_processed >= many
    assert call(DATASYNC).compare(ctx=ctx(), source_table="notifications_command", target_service=service).equal
