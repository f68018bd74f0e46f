"""Each check before a switch by itself: on which side of its bound it holds, and what it says."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone
from msgspec.structs import replace

from apps.core.postgres import fences, replication
from apps.core.postgres.replication import Slot
from apps.datasync.interface import Sync, SyncPhase, SyncStatus, VerificationStatus
from apps.extraction.relocation import actions, cutover, preconditions
from apps.extraction.state import stages
from apps.extraction.state.checks import Check
from apps.extraction.state.stages import Observed, Pair, Stage
from tests.moves.conftest import INITIATOR, as_owner

pytestmark = pytest.mark.usefixtures("ready")
SHAPE = ["ddl guard", "roles", "migrations", "foreign keys", "replica identity", "sequences", "slot budget"]
QUIET = ["long transactions", "another extraction"]


@pytest.fixture
def ready(service: str, following: Sync) -> None:
    """Every row was compared as equal, in an earlier test or now."""
    if stages.observe(service).stage is not Stage.VERIFIED:
        actions.VERIFY.perform(service, INITIATOR, anew=True)


@pytest.fixture
def observed(both: Pair) -> Observed:
    """A service that is ready for its cutover."""
    return stages.observe_with(both)


def names(checks: list[Check]) -> list[str]:
    return [check.name for check in checks]


def test_what_is_checked_before_each_action(both: Pair, observed: Observed):
    assert names(preconditions.before_sync(both, observed)) == ["primary", *SHAPE]
    cutover_checks = preconditions.before_cutover(both, observed)
    assert names(cutover_checks) == ["primary", *SHAPE, "synchronised", "lag", "verified", *QUIET]
    assert names(preconditions.before_rollback(both, observed)) == [
        *("stage", "migrations", "way back", "slot budget"),
        *QUIET,
    ]
    assert names(preconditions.before_commit(both, observed)) == ["stage"]


def test_what_the_checks_of_a_ready_service_say(both: Pair, observed: Observed):
    said = {check.name: check.seen for check in preconditions.before_cutover(both, observed) if check.holds}
    migrations = both.shared.execute("SELECT count(*) FROM django_migrations WHERE app = 'notifications'").fetchone()
    lag = said.pop("lag")
    milliseconds = float(lag.removesuffix(" bytes").partition(" ms, ")[0])
    assert 0 < milliseconds < 1000
    sync, verification = observed.sync, observed.verification
    assert said == {
        "primary": "the primary is default",
        "ddl guard": "DDL is refused",
        "roles": "rows only",
        "migrations": f"{migrations[0]} on both sides",
        "foreign keys": "none crosses the boundary",
        "replica identity": "every table has one",
        "sequences": "0 are relocated",
        "slot budget": "room on both servers",
        "synchronised": f"running, following, {sync.records_processed} rows copied",
        "verified": f"{verification.rows_compared} rows are the same, {verification.backlog} to be compared",
        "long transactions": "none",
        "another extraction": "none",
    }


@pytest.mark.parametrize("writable", [[], ["own"]])
def test_the_shared_database_is_the_primary(both: Pair, observed: Observed, writable: list[str]):
    changed = observed._replace(shared=observed.shared._replace(is_writable=False))
    if writable:
        changed = changed._replace(own=observed.own._replace(is_writable=True))
    check = preconditions.primary_is_shared(both, changed)
    assert check == Check("primary", False, f"the primary is {'notifications' if writable else 'no database'}")


@pytest.mark.parametrize("stage", Stage)
def test_the_stage_allows_a_rollback_and_a_commit(both: Pair, observed: Observed, stage: Stage):
    changed = observed._replace(stage=stage)
    assert preconditions.reversible(both, changed).holds is (stage is Stage.REVERSIBLE)
    (commit,) = preconditions.before_commit(both, changed)
    assert commit == Check("stage", stage in (Stage.REVERSIBLE, Stage.COMMITTED), f"the stage is {stage}")


def test_a_database_without_the_guard(both: Pair, observed: Observed, settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fences, "is_installed", lambda connection: connection is not both.own)
    check = preconditions.guard(both, observed)
    assert check == Check("ddl guard", False, "migrations_playbook/sql/guard.sql is missing in notifications")
    settings.REHEARSAL = True  # its copies have none
    assert preconditions.guard(both, observed) == Check("ddl guard", True, "copies need none")


def test_tables_that_were_not_made(both: Pair, observed: Observed):
    both.own.execute("ALTER TABLE django_migrations RENAME TO other_migrations")
    try:
        check = preconditions.migrations(both, observed)
    finally:
        both.own.execute("ALTER TABLE other_migrations RENAME TO django_migrations")
    assert check == Check("migrations", False, "none is applied: manage.py extraction notifications prepare")


def test_a_migration_and_a_table_of_one_side_alone(both: Pair, observed: Observed):
    app = ["notifications"]
    both.shared.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('notifications', '9999_x', now())")
    try:
        check = preconditions.migrations(both, observed)
    finally:
        both.shared.execute("DELETE FROM django_migrations WHERE app = %s AND name = '9999_x'", app)
    assert check == Check("migrations", False, "not on both sides: notifications.9999_x")
    both.own.execute("CREATE TABLE notifications_extra (id uuid PRIMARY KEY)")
    try:
        check = preconditions.migrations(both, observed)
    finally:
        both.own.execute("DROP TABLE notifications_extra")
    assert check == Check("migrations", False, "not on both sides: notifications_extra")


def test_a_superuser_of_the_platform(both: Pair, observed: Observed, settings):
    settings.DATABASE_APP_ROLES = [*settings.DATABASE_APP_ROLES, "lc_owner"]
    assert preconditions.roles(both, observed) == Check("roles", False, "owner or superuser: lc_owner")


def test_a_table_without_identity_in_its_own_database(both: Pair, observed: Observed):
    both.own.execute("ALTER TABLE notifications_mail REPLICA IDENTITY NOTHING")
    try:
        check = preconditions.identity(both, observed)
    finally:
        both.own.execute("ALTER TABLE notifications_mail REPLICA IDENTITY DEFAULT")
    assert check == Check("replica identity", False, "without replica identity: notifications_mail")


@pytest.mark.parametrize(
    ("phase", "holds"), [(SyncPhase.WAITING, False), (SyncPhase.COPYING, True), (SyncPhase.BUILDING_KEYS, True)]
)
def test_a_target_whose_rows_are_being_copied_has_its_keys_later(
    both: Pair, observed: Observed, phase: SyncPhase, holds: bool
):
    changed = observed._replace(sync=replace(observed.sync, phase=phase))
    both.own.execute("ALTER TABLE notifications_mail REPLICA IDENTITY NOTHING")
    try:
        assert preconditions.identity(both, changed).holds is holds
    finally:
        both.own.execute("ALTER TABLE notifications_mail REPLICA IDENTITY DEFAULT")
    both.shared.execute("ALTER TABLE notifications_mail REPLICA IDENTITY NOTHING")
    try:
        assert preconditions.identity(both, changed).holds is False
    finally:
        both.shared.execute("ALTER TABLE notifications_mail REPLICA IDENTITY DEFAULT")


def test_a_sequence_that_its_own_database_lacks(both: Pair, observed: Observed):
    both.shared.execute("CREATE SEQUENCE notifications_counts")
    numbered = "ALTER TABLE notifications_mail ALTER COLUMN attempts SET DEFAULT"
    both.shared.execute(f"{numbered} nextval('notifications_counts')")
    try:
        missing = preconditions.sequences(both, observed)
        both.own.execute("CREATE SEQUENCE notifications_counts")
        there = preconditions.sequences(both, observed)
    finally:
        both.shared.execute(f"{numbered} 0")
        both.shared.execute("DROP SEQUENCE notifications_counts")
        both.own.execute("DROP SEQUENCE IF EXISTS notifications_counts")
    words = "would stay in the shared database, or are missing in the own one: notifications_counts"
    assert (missing, there) == (
        Check("sequences", False, words),
        Check("sequences", True, "1 are relocated"),
    )


@pytest.mark.parametrize(
    ("status", "phase"), [(SyncStatus.PAUSED, SyncPhase.FOLLOWING), (SyncStatus.RUNNING, SyncPhase.COPYING)]
)
def test_a_synchronisation_that_does_not_follow(both: Pair, observed: Observed, status, phase):
    sync = replace(observed.sync, status=status, phase=phase, records_processed=7)
    check = preconditions.following(both, observed._replace(sync=sync))
    assert check == Check("synchronised", False, f"{status}, {phase}, 7 rows copied")


def test_no_synchronisation_and_one_that_misses_a_table(both: Pair, observed: Observed):
    check = preconditions.following(both, observed._replace(sync=None))
    assert check == Check("synchronised", False, "it does not follow: manage.py extraction notifications sync")
    both.shared.execute("CREATE TABLE notifications_extra (id uuid PRIMARY KEY)")
    try:
        check = preconditions.following(both, observed)
    finally:
        both.shared.execute("DROP TABLE notifications_extra")
    assert check == Check("synchronised", False, "not followed: notifications_extra")


def slot_of(bytes_behind: int) -> Slot:
    return Slot(active=True, lag_bytes=bytes_behind, kept_bytes=0, is_lost=False)


@pytest.mark.parametrize(("bytes_behind", "holds"), [(16 * 1024**2, True), (16 * 1024**2 + 1, False)])
def test_the_log_that_is_yet_to_be_read_is_bounded(
    both: Pair, observed: Observed, monkeypatch: pytest.MonkeyPatch, bytes_behind: int, holds: bool
):
    monkeypatch.setattr(replication, "slot", lambda *_: slot_of(bytes_behind))
    check = preconditions.lag(both, observed)
    assert (check.holds, check.seen.partition(" ms, ")[2]) == (holds, f"{bytes_behind} bytes")
    assert preconditions.verified(both, observed).holds is holds


def test_nothing_follows(both: Pair, observed: Observed, monkeypatch: pytest.MonkeyPatch):
    nothing = Check("lag", False, "nothing follows")
    monkeypatch.setattr(replication, "is_subscribed", lambda *_: False)
    assert preconditions.lag(both, observed) == nothing
    monkeypatch.undo()
    monkeypatch.setattr(replication, "slot", lambda *_: None)
    assert preconditions.lag(both, observed) == nothing
    assert preconditions.verified(both, observed) == Check("verified", False, "changes are not recorded")


def test_a_heartbeat_that_does_not_arrive(both: Pair, observed: Observed):
    replication.pause(both.own, stages.forward_name("notifications"), paused=True)
    try:
        check = preconditions.lag(both, observed)
    finally:
        replication.pause(both.own, stages.forward_name("notifications"), paused=False)
    assert check == Check("lag", False, "more than 1 s")


def test_a_service_that_was_never_compared(both: Pair, observed: Observed):
    check = preconditions.verified(both, observed._replace(verification=None))
    assert check == Check("verified", False, "never: manage.py extraction notifications verify")


def test_a_comparison_that_has_failed(both: Pair, observed: Observed):
    failed = replace(observed.verification, status=VerificationStatus.FAILED, rows_compared=3, error="gone")
    check = preconditions.verified(both, observed._replace(verification=failed))
    assert check == Check("verified", False, "failed, 3 rows compared, 0 differ gone")


@pytest.mark.parametrize(("backlog", "holds"), [(500, True), (501, False)])
def test_the_backlog_is_bounded(both: Pair, observed: Observed, backlog: int, holds: bool):
    verification = replace(observed.verification, backlog=backlog, checked_at=timezone.now())
    check = preconditions.verified(both, observed._replace(verification=verification))
    assert check.holds is holds
    if not holds:
        assert check.seen == "501 changed rows are yet to be compared (at most 500)"


@pytest.mark.parametrize(("seconds", "holds"), [(10, True), (10.001, False), (None, False)])
def test_the_comparison_is_fresh(
    both: Pair, observed: Observed, monkeypatch: pytest.MonkeyPatch, seconds: float | None, holds: bool
):
    now = timezone.now()
    monkeypatch.setattr(preconditions, "timezone", SimpleNamespace(now=lambda: now))
    at = None if seconds is None else now - timedelta(seconds=seconds)
    verification = replace(observed.verification, checked_at=at, backlog=0)
    check = preconditions.verified(both, observed._replace(verification=verification))
    assert check.holds is holds
    if not holds:
        assert check.seen == "changed rows are not being compared any more: is a worker running?"


def test_changes_that_are_yet_to_be_compared(both: Pair, observed: Observed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replication, "slot", lambda *_: slot_of(2 * preconditions.MAX_LAG_BYTES))
    check = preconditions.verified(both, observed)
    assert check == Check("verified", False, f"{32 * 1024**2} bytes of log are yet to be read")


class TestTheWayBack:
    """Checked before a rollback; here it is made while the shared database is the primary."""

    @pytest.fixture(autouse=True)
    def way_back(self, both: Pair):
        cutover.keep_way_back(both)
        replication.beat(both.own, both.shared, "notifications", seconds=20)

    def test_it_follows(self, both: Pair, observed: Observed):
        check = preconditions.way_back(both, observed)
        assert check.holds
        assert 0 < float(check.seen.removesuffix(" ms behind")) < 1000

    def test_a_table_that_it_does_not_follow(self, both: Pair, observed: Observed):
        both.own.execute("CREATE TABLE notifications_extra (id uuid PRIMARY KEY)")
        try:
            check = preconditions.way_back(both, observed)
        finally:
            both.own.execute("DROP TABLE notifications_extra")
        assert check == Check("way back", False, "not followed: notifications_extra")

    def test_it_lags(self, both: Pair, observed: Observed):
        replication.pause(both.shared, stages.back_name("notifications"), paused=True)
        try:
            check = preconditions.way_back(both, observed)
        finally:
            replication.pause(both.shared, stages.back_name("notifications"), paused=False)
        assert check == Check("way back", False, "more than 1 s behind")

    def test_nothing_follows(self, both: Pair, observed: Observed, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(replication, "is_subscribed", lambda *_: False)
        check = preconditions.way_back(both, observed)
        assert check == Check("way back", False, "the shared database does not follow")


class Server:
    """Answers the question about slots: how many are free, whether the log is unbounded, how much of it is kept."""

    def __init__(self, *answer: object) -> None:
        self._answer = answer or None

    def execute(self, *_: object) -> "Server":
        return self

    def fetchone(self) -> object:
        return self._answer


NO_SLOT = "no replication slot is free (max_replication_slots)"
UNBOUNDED = "a slot may fill the disk: set max_slot_wal_keep_size"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((1, False, 100), "room on both servers"),
        ((0, False, 0), NO_SLOT),
        ((-1, False, 0), NO_SLOT),
        ((1, True, 0), UNBOUNDED),
        ((2, False, 101), "a slot keeps 101 bytes of log already"),
        ((0, True, 0), f"{UNBOUNDED}; {NO_SLOT}"),
    ],
)
@pytest.mark.parametrize("is_own", [False, True])
def test_both_servers_have_room_for_a_slot(observed: Observed, settings, answer: tuple, problem: str, is_own: bool):
    settings.SYNC_SLOT_MAX_BYTES = 100
    servers = [Server(9, False, 0), Server(*answer)]
    pair = Pair("notifications", *(servers if is_own else reversed(servers)))
    holds = problem == "room on both servers"
    assert preconditions.slots(pair, observed) == Check("slot budget", holds, "; ".join(sorted(problem.split("; "))))


def test_a_transaction_that_was_begun_long_ago(both: Pair, observed: Observed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preconditions, "LONG_TRANSACTION_SECONDS", 0)
    with as_owner("notifications") as owner:
        owner.execute("BEGIN")
        owner.execute("SELECT count(*) FROM notifications_mail")
        pid = owner.info.backend_pid
        assert preconditions.long_transactions(both, observed).holds  # the closing waits in the primary alone
        is_own = observed._replace(
            shared=observed.shared._replace(is_writable=False), own=observed.own._replace(is_writable=True)
        )
        check = preconditions.long_transactions(both, is_own)
        assert not check.holds
        assert f"pid {pid} (lc_owner, no name): 0 s" in check.seen


def test_a_cutover_of_another_service_is_under_way(both: Pair, observed: Observed):
    fence = "UPDATE extraction.fence SET closed = %s, moving = %s WHERE service = 'documents'"
    fences.set_moving(both.shared, "documents", moving=True)
    both.shared.execute(fence, [1, True])
    try:
        assert preconditions.alone(both, observed) == Check("another extraction", True, "none")  # it serves
        both.shared.execute("REVOKE INSERT ON documents_command FROM lc_app, lc_documents")
        assert preconditions.alone(both, observed) == Check("another extraction", False, "documents is under way")
    finally:
        both.shared.execute("GRANT INSERT ON documents_command TO lc_app, lc_documents")
        both.shared.execute(fence, [0, False])
