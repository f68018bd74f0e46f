"""The worker ends what a dead leader left; so do resume and abort, from both directions."""

import io

import pytest
from django.core.management import call_command

from apps.core.postgres import fences, replication
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, SyncStatus
from apps.extraction.relocation import access, actions, cutover, recovery
from apps.extraction.relocation.cutover import NotSwitched
from apps.extraction.state import epochs, stages
from apps.extraction.state.checks import Refused
from apps.extraction.state.models import Move
from apps.extraction.state.stages import SHARED, Pair, Stage
from tests.moves.conftest import INITIATOR, ctx, left_closed, settle, until

pytestmark = pytest.mark.usefixtures("verified")
# The service's own database as it was before its latest migration.
LATEST_UNDONE = (
    "DELETE FROM django_migrations WHERE app = 'notifications' AND name = '0003_acts'",
    "DROP INDEX notifications_acts",
)


class TestTheWorker:
    def test_nothing_was_left(self):
        assert recovery.finish_abandoned() == []

    def test_it_waits_for_the_leader_first(self, service: str, both: Pair, settings):
        settings.CUTOVER_LEFT_SECONDS = 3600
        left_closed(both, SHARED)
        assert recovery.finish_abandoned() == []
        assert stages.observe(service).stage is Stage.CUTTING

    def test_it_finishes_a_rollback(self, service: str, both: Pair, settings):
        settings.CUTOVER_LEFT_SECONDS = 0
        actions.CUTOVER.perform(service, INITIATOR)
        left_closed(both, service)
        assert recovery.finish_abandoned() == [f"{service}: {{'home': 'default'}}"]
        assert stages.observe(service).primary == SHARED
        move = Move.objects.filter(service=service).latest("started_at")
        assert (move.verb, move.who, move.where, move.reason) == (
            *("resume", "watch", "worker"),
            "a cutover was left closed",
        )

    def test_it_says_that_it_cannot(self, service: str, both: Pair, settings, monkeypatch):
        settings.CUTOVER_LEFT_SECONDS = 0
        left_closed(both, SHARED)

        def fail(_: object) -> str:
            raise NotSwitched("not today")

        monkeypatch.setattr(cutover, "go_on", fail)
        assert recovery.finish_abandoned() == [f"{service}: not today"]

    def test_it_takes_over_from_a_leader_that_hangs(self, service: str, both: Pair, settings):
        from apps.core.postgres.leadership import leading

        settings.CUTOVER_LEFT_SECONDS = 0
        left_closed(both, SHARED)
        with leading(service, "a process that was stopped"):
            assert recovery.finish_abandoned() == [f"{service}: {{'home': '{service}'}}"]

    def test_it_has_nothing_to_do_where_nothing_can_be_relocated(self, both: Pair, settings):
        settings.CUTOVER_LEFT_SECONDS = 0
        left_closed(both, SHARED)
        settings.CONTROL_URLS = {}
        assert recovery.finish_abandoned() == []

    def test_it_passes_by_a_service_whose_own_database_it_does_not_know(self, service: str, both: Pair, settings):
        settings.CUTOVER_LEFT_SECONDS = 0
        both.shared.execute("INSERT INTO extraction.fence (service, moving) VALUES ('unknown', true)")
        try:
            left_closed(both, SHARED)
            assert len(recovery.finish_abandoned()) == 1
        finally:
            both.shared.execute("DELETE FROM extraction.fence WHERE service = 'unknown'")


class TestResume:
    def test_nothing_was_left_and_it_says_so(self, service: str):
        lines: list[str] = []
        actions.RESUME.perform(service, INITIATOR._replace(write_line=lines.append))
        assert f"{service}: verified; no cutover was left half-way" in lines
        with stages.pair(service) as pair, pytest.raises(NotSwitched, match="no cutover was left half-way"):
            cutover.go_on(Passage(pair))

    def test_a_paused_copy_goes_on(self, service: str):
        sync = stages.live_sync(service)
        paused = call(DATASYNC).pause(ctx=ctx(), sync_id=sync.sync_id)
        assert paused.status is SyncStatus.PAUSED
        actions.RESUME.perform(service, INITIATOR)
        assert stages.live_sync(service).status is SyncStatus.RUNNING

    def test_it_goes_back_when_the_last_write_does_not_arrive(self, service: str, both: Pair, monkeypatch):
        def is_applied() -> bool:
            at_work = "SELECT 1 FROM pg_stat_subscription WHERE subname = %s AND pid IS NOT NULL"
            return both.own.execute(at_work, [stages.forward_name(service)]).fetchone() is not None

        monkeypatch.setattr(cutover, "RESUME_SECONDS", 0.1)
        until(is_applied)  # else PostgreSQL might be about to start the worker, and start it after the pause
        replication.pause(both.own, stages.forward_name(service), paused=True)
        try:
            until(lambda: not is_applied())  # the worker that applies changes ends a moment after the pause
            left_closed(both, SHARED)
            move = actions.RESUME.perform(service, INITIATOR)
        finally:
            replication.pause(both.own, stages.forward_name(service), paused=False)
        assert move.facts == {"home": SHARED}
        assert stages.observe(service).primary == SHARED


class Passage:
    epoch = 1

    def __init__(self, pair: Pair) -> None:
        self.pair, self.service = pair, pair.service


class TestAbort:
    def test_a_left_rollback_is_taken_back(self, service: str, both: Pair):
        actions.CUTOVER.perform(service, INITIATOR)
        left_closed(both, service)
        actions.ABORT.perform(service, INITIATOR)
        assert stages.observe(service).primary == service
        settle(service)

    def test_a_finished_cutover_is_not_aborted(self, service: str):
        actions.CUTOVER.perform(service, INITIATOR)
        with pytest.raises(Refused, match="the stage is reversible: rollback is the way back"):
            actions.ABORT.perform(service, INITIATOR)
        assert stages.observe(service).stage is Stage.REVERSIBLE
        settle(service)

    def test_a_synchronisation_ends_and_tables_may_change_again(self, service: str, both: Pair):
        sync = stages.live_sync(service)
        actions.ABORT.perform(service, INITIATOR)
        assert stages.live_sync(service) is None
        assert call(DATASYNC).get(ctx=ctx(), sync_id=sync.sync_id).status is SyncStatus.CANCELLED
        sides = [stages.side(both.side(alias), service, alias) for alias in (SHARED, service)]
        assert [side.is_moving for side in sides] == [False, False]
        assert not replication.is_subscribed(both.own, stages.forward_name(service))
        actions.ABORT.perform(service, INITIATOR)  # there is nothing left: it changes nothing


class TestWhatWasLeft:
    """From the two fences alone."""

    def test_a_primary_means_that_nothing_was_left(self, both: Pair):
        assert cutover.left_by(both) is None

    def test_the_later_closing_counts(self, service: str, both: Pair):
        actions.CUTOVER.perform(service, INITIATOR)  # the shared database was closed
        epoch = left_closed(both, service)
        assert cutover.left_by(both) == service
        with both.own.transaction():
            assert stages.side(both.own, service, service).closed == epoch

    def test_no_primary_and_no_closing_is_no_cutover(self, service: str, both: Pair):
        """As in a database without tables yet."""
        empty = Pair("datasync", both.own, both.own)
        assert cutover.left_by(empty) is None


class TestCommit:
    """Undone by hand afterwards: nothing was written meanwhile."""

    @pytest.fixture(autouse=True)
    def undone(self, service: str, both: Pair):
        yield
        if stages.observe(service).primary == service:
            for side in (both.shared, both.own):
                fences.set_moving(side, service, moving=True)
            epoch = epochs.take(both)
            access.close(access.gate(both.own, service), epoch)
            access.open_up(access.gate(both.shared, service), epoch, {}, closed=0)
            both.own.execute("UPDATE extraction.fence SET closed = 0, closed_at = NULL WHERE service = %s", [service])
            actions.ABORT.perform(service, INITIATOR)

    def test_afterwards_nothing_follows_and_nothing_is_left_to_finish(self, service: str, both: Pair, settings):
        settings.CUTOVER_LEFT_SECONDS = 0
        actions.CUTOVER.perform(service, INITIATOR)
        move = actions.COMMIT.perform(service, INITIATOR)
        observed = stages.observe(service)
        assert (observed.stage, observed.sync) == (Stage.COMMITTED, None)
        assert [side.is_moving for side in (observed.shared, observed.own)] == [False, False]
        for side, name in ((both.shared, stages.back_name(service)), (both.own, stages.forward_name(service))):
            assert not replication.is_subscribed(side, name)
        assert replication.slot(both.shared, stages.forward_name(service)) is None
        counts = both.shared.execute("SELECT count(*) FROM notifications_command").fetchone()
        assert move.facts["old_home"]["notifications_command"][0] == counts[0]
        assert recovery.finish_abandoned() == []
        actions.COMMIT.perform(service, INITIATOR)  # once more, as after a death half-way

    def test_a_deployment_migrates_the_database_that_the_service_has_now(self, service: str, both: Pair):
        actions.CUTOVER.perform(service, INITIATOR)
        actions.COMMIT.perform(service, INITIATOR)
        for statement in LATEST_UNDONE:
            both.own.execute(statement)
        output = io.StringIO()
        call_command("migrate", "--all", verbosity=0, stdout=output)
        assert output.getvalue() == "notifications: migrated in its own database\n"
        assert both.own.execute("SELECT to_regclass('notifications_acts')::text").fetchone() == ("notifications_acts",)

    def test_tables_of_later_migrations_are_the_services_as_well(self, service: str, both: Pair):
        actions.CUTOVER.perform(service, INITIATOR)
        actions.COMMIT.perform(service, INITIATOR)
        both.own.execute("SET ROLE lc_owner")
        both.own.execute("CREATE TABLE notifications_later (id serial PRIMARY KEY)")
        query = (
            "SELECT has_table_privilege('lc_app', 'notifications_later', 'SELECT, INSERT, UPDATE, DELETE'),"
            " has_sequence_privilege('lc_app', 'notifications_later_id_seq', 'USAGE')"
        )
        try:
            assert both.own.execute(query).fetchone() == (True, True)
            assert both.own.execute(query.replace("lc_app", "lc_notifications")).fetchone() == (True, True)
            assert both.own.execute(query.replace("lc_app", "lc_documents")).fetchone() == (False, False)
        finally:
            both.own.execute("DROP TABLE notifications_later")
            both.own.execute("RESET ROLE")
