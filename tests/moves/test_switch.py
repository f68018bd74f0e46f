"""The switch from one primary to the other: attempts and their pause, sequences, rights, lost servers, the way back."""

import threading

import psycopg
import pytest

from apps.core.postgres import connections, database_roles, fences, replication
from apps.extraction.relocation import access, actions, cutover, preconditions, procedures
from apps.extraction.relocation.cutover import NotSwitched
from apps.extraction.routing import shares
from apps.extraction.state import epochs, stages
from apps.extraction.state.epochs import StaleEpoch
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import SHARED, Pair, Stage
from tests.moves.conftest import INITIATOR, as_app, as_owner, left_closed, settle
from tests.stack.databases import as_service

pytestmark = pytest.mark.usefixtures("verified")


def test_a_flag_moves_calls_and_no_data(service: str):
    before = stages.observe(service)
    with shares.initiated_by("test", where="pytest"):
        try:
            shares.set_share(service, "remote", 100)
            after = stages.observe(service)
        finally:
            shares.set_share(service, "remote", 0)
    assert (after.primary, after.shared, after.own) == (SHARED, before.shared, before.own)


class TestAttempts:
    def test_each_is_counted_and_the_pause_is_that_of_all_together(self, service: str, monkeypatch):
        monkeypatch.setattr(cutover, "MAX_ATTEMPTS", 3)
        await_marker, late = cutover._await_marker, ["once", "twice"]

        def arrive(*arguments: object) -> None:
            if late:
                raise replication.TooSlow(late.pop())
            await_marker(*arguments)

        monkeypatch.setattr(cutover, "_await_marker", arrive)
        move = actions.CUTOVER.perform(service, INITIATOR)
        assert (move.outcome, move.attempts) == (Outcome.DONE, 3)
        steps = Move.objects.get(id=move.id).steps
        assert [step["step"] for step in steps].count("close") == 3
        switching = sum(step["took_ms"] for step in steps if step["step"] in {"close", "marker", "open"})
        assert switching <= move.pause_ms < switching + 5000
        assert move.epoch == epochs_in(service)

    def test_they_are_bounded_and_the_old_primary_serves(self, service: str, monkeypatch):
        monkeypatch.setattr(cutover, "MAX_ATTEMPTS", 2)

        def late(*_: object) -> None:
            raise replication.TooSlow("the marker is late")

        monkeypatch.setattr(cutover, "_await_marker", late)
        with pytest.raises(NotSwitched, match=r"^the marker is late, 2 times$"):
            actions.CUTOVER.perform(service, INITIATOR)
        move = Move.objects.filter(service=service).latest("started_at")
        assert (move.outcome, move.attempts) == (Outcome.FAILED, 2)
        assert 0 < move.pause_ms < 10_000
        assert stages.observe(service).primary == SHARED

    def test_a_held_table_is_named(self, service: str, monkeypatch):
        monkeypatch.setattr(cutover, "MAX_ATTEMPTS", 1)
        with as_app("default") as holder:
            holder.execute("BEGIN")
            holder.execute("LOCK TABLE notifications_mail IN ROW EXCLUSIVE MODE")
            with pytest.raises(NotSwitched, match="a table was held for more than 50 ms, 1 times"):
                actions.CUTOVER.perform(service, INITIATOR)


def epochs_in(service: str) -> int:
    with stages.pair(service) as pair:
        return epochs.highest(pair)


class TestALostServer:
    def test_the_new_primary_is_lost_and_the_old_one_serves_again(self, service: str, monkeypatch):
        def lose(new: access.Gate, *_: object) -> None:
            new.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        monkeypatch.setattr(cutover, "_await_marker", lose)
        with pytest.raises(NotSwitched, match=r"^notifications was lost: "):
            actions.CUTOVER.perform(service, INITIATOR)
        observed = stages.observe(service)
        assert (observed.primary, observed.stage) == (SHARED, Stage.VERIFIED)

    def test_any_other_failure_leaves_the_old_one_closed_for_the_worker_to_decide(self, service: str, monkeypatch):
        def fail(*_: object) -> None:
            raise psycopg.OperationalError("out of memory")

        with monkeypatch.context() as patched:
            patched.setattr(cutover, "_await_marker", fail)
            with pytest.raises(psycopg.OperationalError, match="out of memory"):
                actions.CUTOVER.perform(service, INITIATOR)
        assert stages.observe(service).stage is Stage.CUTTING
        actions.RESUME.perform(service, INITIATOR)
        assert stages.observe(service).primary == service

    def test_the_old_primary_is_lost_before_it_is_closed(self, service: str, monkeypatch):
        close = access.close

        def lose(gate: access.Gate, epoch: int) -> access.Counts:
            gate.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            return close(gate, epoch)

        monkeypatch.setattr(access, "close", lose)
        with pytest.raises(psycopg.OperationalError):
            actions.CUTOVER.perform(service, INITIATOR)
        assert stages.observe(service).primary == SHARED

    def test_the_new_primary_is_lost_while_it_is_opened(self, service: str, monkeypatch):
        """It may be open: only its fence can say, so nothing is opened here."""
        open_up, lost = access.open_up, []

        def lose(gate: access.Gate, epoch: int, sequences: access.Counts, **options: object) -> None:
            open_up(gate, epoch, sequences, **options)
            if not lost:
                lost.append(True)
                gate.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        monkeypatch.setattr(access, "open_up", lose)
        with pytest.raises(psycopg.OperationalError):
            actions.CUTOVER.perform(service, INITIATOR)
        assert stages.observe(service).primary == service


class TestSequences:
    @pytest.fixture(autouse=True)
    def numbers(self, service: str, both: Pair):
        for side in (both.shared, both.own):
            side.execute("CREATE SEQUENCE notifications_numbers")
        both.shared.execute("GRANT USAGE, SELECT ON SEQUENCE notifications_numbers TO lc_app")
        yield
        settle(service)
        for side in (both.shared, both.own):
            side.execute("DROP SEQUENCE notifications_numbers")

    def test_numbers_go_on_where_they_were(self, service: str, both: Pair):
        with as_app("default") as app:
            assert [number(app) for _ in range(3)] == [1, 2, 3]
            actions.CUTOVER.perform(service, INITIATOR)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                number(app)
        with as_app(service) as app:
            assert number(app) == 4
        actions.ROLLBACK.perform(service, INITIATOR)
        with as_app("default") as app:
            assert number(app) == 5

    def test_one_number_was_taken(self, service: str):
        with as_app("default") as app:
            assert number(app) == 1
        actions.CUTOVER.perform(service, INITIATOR)
        with as_app(service) as app:
            assert number(app) == 2

    def test_a_sequence_that_is_ahead_is_not_set_back(self, service: str, both: Pair):
        both.own.execute("SELECT setval('notifications_numbers', 40)")
        actions.CUTOVER.perform(service, INITIATOR)
        with as_app(service) as app:
            assert number(app) == 41

    def test_a_resumed_cutover_takes_the_numbers_from_the_closed_database(self, service: str, both: Pair):
        with as_app("default") as app:
            number(app)
        left_closed(both, SHARED)
        actions.RESUME.perform(service, INITIATOR)
        with as_app(service) as app:
            assert number(app) == 2


def number(connection: psycopg.Connection) -> int:
    return connection.execute("SELECT nextval('notifications_numbers')").fetchone()[0]


class TestRights:
    def test_everybody_loses_them_but_those_who_copy(self, service: str, both: Pair):
        both.shared.execute("GRANT SELECT ON notifications_mail TO PUBLIC")
        query = (
            "SELECT coalesce(r.rolname, 'public') FROM pg_class c, aclexplode(c.relacl) a"
            " LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE c.relname = 'notifications_mail' AND a.grantee <> c.relowner"
        )
        actions.CUTOVER.perform(service, INITIATOR)
        assert {name for (name,) in both.shared.execute(query)} <= set(access.KEEPERS)
        rights = {name for (name,) in both.own.execute(query)}
        assert rights - set(access.KEEPERS) == {"lc_app", "lc_notifications"}

    def test_a_role_at_work_that_would_lose_its_rights_is_named_before(self, service: str, both: Pair):
        both.shared.execute("GRANT SELECT, INSERT ON notifications_command TO lc_documents")
        try:
            with as_service("documents"):
                check = preconditions.roles(both, stages.observe(service))
                assert not check.holds
                assert check.seen == "would lose its rights at work: lc_documents; see manage.py database_roles"
        finally:
            both.shared.execute("REVOKE ALL ON notifications_command FROM lc_documents")
        assert preconditions.roles(both, stages.observe(service)).holds

    def test_a_role_that_a_server_does_not_have_is_named_before(self, service: str, both: Pair, settings):
        settings.DATABASE_APP_ROLES = ["lc_app", "lc_{service}", "lc_none"]
        check = preconditions.roles(both, stages.observe(service))
        assert (check.holds, check.seen) == (False, "missing on a server: lc_none; see manage.py database_roles")

    def test_a_role_of_an_earlier_version_that_may_log_in_is_named_before(self, service: str, both: Pair, monkeypatch):
        monkeypatch.setattr(database_roles, "RETIRED", "lc_documents")  # any that may log in
        check = preconditions.roles(both, stages.observe(service))
        assert (check.holds, check.seen) == (
            *(False, "lc_documents may still log in: manage.py database_roles --retire lc_documents"),
        )

    def test_a_leader_without_a_fence_closes_nothing(self, service: str, both: Pair):
        gate = access.gate(both.shared, service)._replace(service="nothing")
        with pytest.raises(StaleEpoch, match="epoch 1 is stale: the fence holds none"):
            access.close(gate, 1)

    def test_a_service_that_does_not_move_is_not_closed(self, service: str, both: Pair):
        fences.set_moving(both.shared, service, moving=False)
        try:
            with pytest.raises(StaleEpoch, match="not the primary of a service that is moving"):
                access.close(access.gate(both.shared, service), epochs.take(both))
        finally:
            fences.set_moving(both.shared, service, moving=True)

    def test_an_empty_database_is_not_opened(self, service: str, both: Pair):
        left_closed(both, SHARED)
        filled = both.own.execute("SELECT filled FROM extraction.fence WHERE service = %s", [service]).fetchone()
        set_filled = "UPDATE extraction.fence SET filled = %s WHERE service = %s"
        both.own.execute(set_filled, ["", service])
        try:
            with pytest.raises(replication.TooSlow, match="is not filled by any synchronisation"):
                actions.RESUME.perform(service, INITIATOR)
            assert stages.observe(service).stage is Stage.CUTTING
        finally:
            both.own.execute(set_filled, [filled[0], service])

    def test_an_older_leader_had_opened_the_database(self, service: str, both: Pair):
        epoch = epochs.highest(both)
        assert access.raise_epoch(both.shared, service, epoch + 1) is True
        assert access.raise_epoch(both.own, service, epoch + 2) is False
        assert epochs.highest(both) == epoch + 2


class TestTheWayBack:
    def test_one_that_runs_is_kept(self, both: Pair, monkeypatch: pytest.MonkeyPatch):
        cutover.keep_way_back(both)
        dropped: list[Pair] = []
        monkeypatch.setattr(cutover, "drop_way_back", dropped.append)
        cutover.keep_way_back(both)
        assert dropped == []

    @pytest.mark.parametrize("lost", ["table", "slot", "subscription"])
    def test_one_that_lacks_something_is_made_anew(self, service: str, both: Pair, lost: str):
        cutover.keep_way_back(both)
        name = stages.back_name(service)
        if lost == "table":
            both.own.execute(f"ALTER PUBLICATION {name} DROP TABLE notifications_mail")
        elif lost == "subscription":
            replication.unsubscribe(both.shared, name)
        else:
            both.shared.execute(f"ALTER SUBSCRIPTION {name} DISABLE")
            with connections.replicator(service) as slots:
                replication.drop_slot(slots, name)
        cutover.keep_way_back(both)
        assert replication.beat(both.own, both.shared, service, seconds=20) > 0
        assert "notifications_mail" in replication.published(both.own, name)

    def test_one_whose_slot_is_lost_is_made_anew(self, both: Pair, monkeypatch: pytest.MonkeyPatch):
        cutover.keep_way_back(both)
        slot, dropped = replication.slot, []
        monkeypatch.setattr(replication, "slot", lambda *args: slot(*args)._replace(is_lost=True))
        drop = cutover.drop_way_back
        monkeypatch.setattr(cutover, "drop_way_back", lambda pair: (dropped.append(True), drop(pair)))
        cutover.keep_way_back(both)
        assert dropped


class TestTidying:
    def test_aged_statistics_are_refreshed_before_the_switch(self, service: str, both: Pair):
        query = "SELECT analyze_count FROM pg_stat_user_tables WHERE relname = 'notifications_command'"
        before = [side.execute(query).fetchone()[0] for side in (both.shared, both.own)]
        with as_owner("default") as owner:
            owner.execute(
                "INSERT INTO notifications_command (id, method, key, arguments_digest)"
                " SELECT gen_random_uuid(), 'x', 'aged ' || n, '' FROM generate_series(1, 1000) n"
            )
            owner.execute("SELECT pg_stat_force_next_flush()")
        replication.beat(both.shared, both.own, service, seconds=20)
        procedures._tidy(both.shared, service)
        after = both.shared.execute(query).fetchone()[0]
        assert after > before[0]
        procedures._tidy(both.shared, service)
        assert both.shared.execute(query).fetchone()[0] == after  # nothing has aged since

    def test_both_are_tidied_and_a_failure_of_one_is_raised_after_the_other_has_ended(
        self, both: Pair, monkeypatch: pytest.MonkeyPatch
    ):
        tidied: list[str] = []

        def tidy(connection: psycopg.Connection, service: str) -> None:
            tidied.append("own" if connection is both.own else "shared")
            if connection is both.shared:
                raise psycopg.OperationalError("gone")

        monkeypatch.setattr(procedures, "_tidy", tidy)
        from apps.extraction.state.action import Run
        from apps.extraction.state.initiator import Initiator

        with pytest.raises(psycopg.OperationalError):
            procedures._tidy_both(Run(both.service, Initiator("test", "pytest"), pair=both))
        assert sorted(tidied) == ["own", "shared"]
        assert not [thread for thread in threading.enumerate() if thread.name == "tidy"]
