"""A cutover and its rollback, as processes see them that are not notified."""

import contextlib

import psycopg
import pytest
from django.db import connections, transaction
from django.db.utils import ProgrammingError

from apps.core.database import primaries
from apps.core.postgres import fences, replication
from apps.core.seam.client.registry import call
from apps.core.seam.events.relay import deliver_due
from apps.extraction.relocation import access, actions, cutover, recovery
from apps.extraction.state import epochs, stages
from apps.extraction.state.epochs import StaleEpoch
from apps.extraction.state.metrics import MoveCollector
from apps.extraction.state.models import Move, Outcome
from apps.notifications.interface import NOTIFICATIONS
from tests.alerting.test_asked import collected
from tests.moves.conftest import INITIATOR, as_app, as_owner, left_closed, return_to_shared, until
from tests.world import World

pytestmark = pytest.mark.usefixtures("verified")


def message_count(world: World, person) -> int:
    return len(call(NOTIFICATIONS).list(ctx=world.ctx(person), limit=50).items)


def test_writes_continue_across_a_switch_and_none_is_lost(here: World, service: str):
    seller, buyer = here.person(), here.person()
    here.contract(seller, buyer)
    here.settle()
    before = message_count(here, seller)
    assert before
    move = actions.CUTOVER.perform(service, INITIATOR)
    assert (move.outcome, move.who, move.reason) == (Outcome.DONE, "test", "a test")
    assert move.pause_ms > 0
    assert primaries.database_of(service) == "default"  # processes are not notified
    here.contract(seller, buyer)
    here.settle()
    assert primaries.database_of(service) == service  # it got `permission denied` and re-read the grants
    assert message_count(here, seller) == 2 * before
    actions.ROLLBACK.perform(service, INITIATOR)
    here.contract(seller, buyer)
    here.settle()
    assert primaries.database_of(service) == "default"
    assert message_count(here, seller) == 3 * before
    assert {"close", "marker", "open"} <= {step["step"] for step in Move.objects.get(id=move.id).steps}


def test_the_web_server_finds_the_new_primary_without_a_restart(service: str):
    world = World("http")
    from apps.core.seam.client import registry

    with registry.routed_by(world.resolve):
        seller = world.person()
        for turn in (actions.CUTOVER.perform, actions.ROLLBACK.perform):
            turn(service, INITIATOR)
            world.contract(seller, world.person())
            world.settle()
        assert message_count(world, seller) >= 2


def test_old_connections_prepared_statements_and_snapshots_are_refused_by_the_old_primary(service: str):
    with as_app("default") as stale, as_app("default") as reader:
        insert = "INSERT INTO notifications_command (id, method, key, arguments_digest) VALUES (gen_random_uuid(), 'x', 'x', '')"
        select = "SELECT count(*) FROM notifications_notification"
        stale.execute(f"PREPARE writes AS {insert}")
        stale.execute(f"PREPARE reads AS {select}")
        stale.execute("EXECUTE reads")
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute(select)
        reader.execute("COMMIT")
        actions.CUTOVER.perform(service, INITIATOR)
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        for connection, statement in ((stale, "EXECUTE writes"), (stale, "EXECUTE reads"), (reader, select)):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
        with as_app(service) as fresh:
            fresh.execute(select)


def test_an_open_snapshot_is_refused_at_its_next_statement(service: str, both):
    cutover.keep_way_back(both)
    gate = access.gate(both.shared, service)
    with as_app("default") as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1 FROM authentication_user LIMIT 1")  # a snapshot, and no lock on these tables
        epoch = epochs.take(both)
        access.close(gate, epoch)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT count(*) FROM notifications_notification")


def test_the_shell_and_the_admin_follow_with_a_single_statement(service: str):
    from apps.notifications.models import Notification

    rows = Notification.objects.count()
    actions.CUTOVER.perform(service, INITIATOR)
    with connections["default"].cursor() as cursor:  # a process that still takes this database for the primary
        cursor.execute("SELECT count(*) FROM notifications_notification")
        assert cursor.fetchone() == (rows,)
        assert cursor.db.alias == service
    assert Notification.objects.count() == rows


def test_inside_a_transaction_nothing_is_sent_again(service: str):
    actions.CUTOVER.perform(service, INITIATOR)
    with pytest.raises(ProgrammingError), transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM notifications_notification")


def test_events_under_way_are_delivered_once(here: World, service: str):
    """The receiver's primary changes between two deliveries of the same event."""
    seller, buyer = here.person(), here.person()
    here.contract(seller, buyer)
    here.settle()
    before = message_count(here, seller)
    actions.CUTOVER.perform(service, INITIATOR)
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "UPDATE contracts_outbox SET delivered_at = NULL, leased_until = NULL WHERE trace = %s AND consumer = %s",
            [here.trace, service],
        )
        assert cursor.rowcount
    deliver_due("contracts")
    here.settle()
    assert message_count(here, seller) == before


def test_a_second_leader_is_refused_while_one_leads(service: str):
    from apps.core.postgres.leadership import AnotherLeads, leading

    with leading("documents", "another leader"), pytest.raises(AnotherLeads, match="another leader"):
        actions.CUTOVER.perform(service, INITIATOR)
    assert Move.objects.filter(service=service).latest("started_at").outcome == Outcome.FAILED


def test_ddl_is_refused_during_a_relocation_and_allowed_again(service: str, both):
    for alias in ("default", service):
        with as_owner(alias) as owner:
            for statement in (
                "ALTER TABLE notifications_notification ADD COLUMN extra text",
                "CREATE INDEX extra ON notifications_mail (created_at)",
                "DROP TABLE notifications_mail",
                "ALTER TABLE notifications_mail ALTER COLUMN attempts TYPE bigint",
                "ALTER TABLE notifications_mail RENAME TO elsewhere",
                "CREATE RULE never AS ON DELETE TO notifications_mail DO INSTEAD NOTHING",
                "GRANT INSERT ON notifications_mail TO lc_notifications",
            ):
                with pytest.raises(psycopg.errors.ObjectInUse, match="notifications is being moved"):
                    owner.execute(statement)
            owner.execute("CREATE TABLE unrelated (id int)")
            owner.execute("DROP TABLE unrelated")
    return_to_shared(service)
    with as_owner("default") as owner:
        owner.execute("CREATE INDEX extra ON notifications_mail (created_at)")
        owner.execute("DROP INDEX extra")


class TestLeftHalfWay:
    """The controller died between the two commits."""

    @pytest.fixture
    def closed(self, service: str, both) -> int:
        return left_closed(both, "default")

    def test_there_is_no_primary_and_the_stage_says_so(self, service: str, closed: int):
        assert stages.observe(service).stage is stages.Stage.CUTTING

    def test_the_time_without_a_primary_is_a_metric(self, service: str, closed: int):
        with contextlib.closing(MoveCollector()) as collector:
            first, second = collected(collector), collected(collector)
        held = f'extraction_fence_held_seconds{{service="{service}"}}'
        assert 0 < first[held] < second[held] < 60
        assert second[f'extraction_stage{{service="{service}",stage="cutting"}}'] == 1
        assert second['extraction_fence_held_seconds{service="contracts"}'] == 0

    def test_resume_goes_forward(self, service: str, closed: int):
        actions.RESUME.perform(service, INITIATOR)
        assert stages.observe(service).stage is stages.Stage.REVERSIBLE

    def test_abort_goes_back(self, service: str, closed: int):
        actions.ABORT.perform(service, INITIATOR)
        assert stages.observe(service).primary == "default"

    def test_the_first_leader_wakes_up_after_an_abort_and_does_nothing(self, service: str, closed: int, both):
        actions.ABORT.perform(service, INITIATOR)
        with pytest.raises(StaleEpoch):
            access.open_up(access.gate(both.own, service), closed, {}, closed=closed)
        with pytest.raises(StaleEpoch):
            access.close(access.gate(both.shared, service), closed)
        assert stages.observe(service).primary == "default"

    def test_the_first_leader_wakes_up_after_a_resume_and_does_nothing(self, service: str, closed: int, both):
        actions.RESUME.perform(service, INITIATOR)
        with pytest.raises(StaleEpoch):
            access.open_up(access.gate(both.shared, service), closed, {}, closed=0)
        with pytest.raises(StaleEpoch):
            cutover.go_back(both, "default", closed)
        with pytest.raises(cutover.NotSwitched, match="is the primary already"):
            cutover.go_back(both, "default", epochs.take(both))
        assert stages.observe(service).primary == service

    def test_a_command_waits_and_then_succeeds(self, here: World, service: str, closed: int):
        seller = here.person()
        here.contract(seller, here.person())
        import threading

        thread = threading.Thread(target=actions.RESUME.perform, args=(service, INITIATOR))
        thread.start()
        try:
            here.settle()
            assert message_count(here, seller)
        finally:
            thread.join()

    def test_the_worker_finishes_it(self, service: str, closed: int, settings):
        settings.CUTOVER_LEFT_SECONDS = 0
        assert any(service in words for words in recovery.finish_abandoned())
        assert stages.observe(service).primary == service

    def test_a_new_primary_without_the_last_write_is_not_opened(self, service: str, closed: int, both):
        replication.pause(both.own, stages.forward_name(service), paused=True)
        with pytest.raises(replication.TooSlow):
            access.open_up(access.gate(both.own, service), epochs.highest(both), {}, closed=closed + 1)
        assert not fences.is_writable(both.own, service)
        replication.pause(both.own, stages.forward_name(service), paused=False)


def test_a_held_table_aborts_the_attempt_and_the_next_one_succeeds(service: str):
    with as_app("default") as holder:
        holder.execute("BEGIN")
        holder.execute(
            "INSERT INTO notifications_command (id, method, key, arguments_digest) VALUES (gen_random_uuid(), 'x', 'held', '')"
        )
        import threading

        moves: list[Move] = []
        thread = threading.Thread(target=lambda: moves.append(actions.CUTOVER.perform(service, INITIATOR)))
        thread.start()
        until(lambda: (Move.objects.filter(service=service).latest("started_at").attempts or 0) > 0)
        holder.execute("COMMIT")
        thread.join()
    assert moves[0].attempts > 1
    with as_app(service) as own:
        assert own.execute("SELECT count(*) FROM notifications_command WHERE key = 'held'").fetchone() == (1,)


def test_a_marker_that_does_not_arrive_opens_the_old_primary_again(service: str, both, monkeypatch):
    monkeypatch.setattr(cutover, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr(cutover, "MARKER_SECONDS", 0.0)

    def late(*_: object, **__: object) -> float:
        raise replication.TooSlow("late")

    monkeypatch.setattr(replication, "await_marker", late)
    monkeypatch.setattr(replication, "beat", lambda *_, **__: 0.001)
    with pytest.raises(cutover.NotSwitched):
        actions.CUTOVER.perform(service, INITIATOR)
    assert stages.observe(service).primary == "default"


class TestAStaleLeader:
    """A leader that was stopped before it closed anything, while another took over and finished."""

    def test_it_closes_nothing_when_the_primary_has_changed_meanwhile(self, service: str, both):
        stale = epochs.take(both)
        actions.CUTOVER.perform(service, INITIATOR)
        with pytest.raises(StaleEpoch):
            access.close(access.gate(both.shared, service), stale)
        # Not even with an epoch of its own: a database that is not the primary is never closed, so it is never opened by mistake.
        with pytest.raises(StaleEpoch, match="not the primary"):
            access.close(access.gate(both.shared, service), epochs.take(both))
        assert stages.observe(service).primary == service

    def test_it_closes_nothing_after_an_abort(self, service: str, both):
        stale = epochs.take(both)
        actions.ABORT.perform(service, INITIATOR)
        for epoch in (stale, epochs.take(both)):
            with pytest.raises(StaleEpoch):
                access.close(access.gate(both.shared, service), epoch)
        assert stages.observe(service).primary == "default"

    def test_a_database_that_another_leader_closed_is_not_opened_by_it(self, service: str, both):
        """The rollback's leader died with the last write on its way; a stale cutover must not open the old primary without it."""
        actions.CUTOVER.perform(service, INITIATOR)
        replication.pause(both.shared, stages.back_name(service), paused=True)
        epoch = epochs.take(both)
        access.close(access.gate(both.own, service), epoch)
        with pytest.raises(StaleEpoch):
            access.close(access.gate(both.shared, service), epochs.take(both))
        replication.pause(both.shared, stages.back_name(service), paused=False)


def test_a_copy_never_empties_the_primary(service: str, both):
    """The forward subscription is lost while the service's own database is the primary: the sync fails and changes no table."""
    from apps.core.postgres import connections as control_connections
    from apps.datasync.logic import sync_worker

    actions.CUTOVER.perform(service, INITIATOR)
    before = both.own.execute("SELECT count(*) FROM notifications_command").fetchone()
    sync = stages.live_sync(service)
    replication.unsubscribe(both.own, stages.forward_name(service))
    with control_connections.replicator("default") as slots:
        replication.drop_slot(slots, stages.forward_name(service))
    until(lambda: not sync_worker._threads[sync.sync_id].is_alive())
    from apps.datasync.models import Sync

    Sync.objects.filter(id=sync.sync_id).update(status="running", phase="following")
    sync_worker.ensure_running(sync.sync_id)
    until(lambda: Sync.objects.get(id=sync.sync_id).status == "failed")
    assert "that database is the primary" in Sync.objects.get(id=sync.sync_id).error
    assert both.own.execute("SELECT count(*) FROM notifications_command").fetchone() == before
    actions.ROLLBACK.perform(service, INITIATOR)


def test_a_hanging_comparison_does_not_delay_a_switch(service: str, both):
    with as_owner("default") as hanging:
        hanging.execute("SELECT pg_advisory_lock_shared(hashtextextended(%s, 2))", [service])
        assert actions.CUTOVER.perform(service, INITIATOR).outcome == Outcome.DONE
