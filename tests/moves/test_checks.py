"""Each obstacle to a cutover is detected and named."""

import pytest

from apps.core.postgres import advisory_locks, replication
from apps.extraction.pipeline import plans
from apps.extraction.pipeline.actions import ACTIONS
from apps.extraction.relocation import actions, preconditions
from apps.extraction.state import stages
from apps.extraction.state.checks import Refused
from apps.extraction.state.models import Move
from tests.moves.conftest import INITIATOR, as_owner, refusals

pytestmark = pytest.mark.usefixtures("verified")


def test_a_ready_service_has_no_obstacle(service: str):
    assert refusals(service) == {}


def test_a_foreign_key_across_the_cut(service: str, both):
    both.shared.execute(
        "CREATE TABLE other_thing (id uuid PRIMARY KEY, n uuid REFERENCES notifications_notification (id))"
    )
    try:
        assert "other_thing" in refusals(service)["foreign keys"]
        with pytest.raises(Refused, match="foreign keys"):
            actions.CUTOVER.perform(service, INITIATOR)
    finally:
        both.shared.execute("DROP TABLE other_thing")


def test_a_table_without_replica_identity(service: str, both):
    both.shared.execute("ALTER TABLE notifications_mail REPLICA IDENTITY NOTHING")
    try:
        assert "notifications_mail" in refusals(service)["replica identity"]
    finally:
        both.shared.execute("ALTER TABLE notifications_mail REPLICA IDENTITY DEFAULT")


def test_a_sequence_that_would_stay_behind(service: str, both):
    both.shared.execute("CREATE SEQUENCE counts_mails")
    both.shared.execute("ALTER TABLE notifications_mail ALTER COLUMN attempts SET DEFAULT nextval('counts_mails')")
    try:
        assert "counts_mails" in refusals(service)["sequences"]
    finally:
        both.shared.execute("ALTER TABLE notifications_mail ALTER COLUMN attempts SET DEFAULT 0")
        both.shared.execute("DROP SEQUENCE counts_mails")


def test_a_migration_that_is_not_applied_there(service: str, both):
    both.own.execute("UPDATE django_migrations SET name = 'x_' || name WHERE app = %s", [service])
    try:
        assert "notifications.0001_initial" in refusals(service)["migrations"]
    finally:
        both.own.execute("UPDATE django_migrations SET name = substr(name, 3) WHERE app = %s", [service])


def test_a_long_transaction(service: str, monkeypatch):
    monkeypatch.setattr(preconditions, "LONG_TRANSACTION_SECONDS", 0)
    with as_owner("default") as owner:
        owner.execute("BEGIN")
        owner.execute("SELECT count(*) FROM notifications_mail")
        assert "lc_owner" in refusals(service)["long transactions"]
        owner.execute("ROLLBACK")


def test_a_target_that_lags(service: str, both):
    replication.pause(both.own, stages.forward_name(service), paused=True)
    try:
        assert "more than" in refusals(service)["lag"]
    finally:
        replication.pause(both.own, stages.forward_name(service), paused=False)


def test_rows_that_differ(service: str, both):
    both.own.execute(
        "INSERT INTO notifications_command (id, method, key, arguments_digest) VALUES (gen_random_uuid(), 'x', 'extra', '')"
    )
    try:
        actions.VERIFY.perform(service, INITIATOR, anew=True)
        assert "1 differ" in refusals(service)["verified"]
    finally:
        both.own.execute("DELETE FROM notifications_command WHERE key = 'extra'")


def test_a_backlog_of_changed_rows(service: str):
    from apps.datasync.models import Verification

    Verification.objects.filter(target_service=service, status="following").update(status="stopped")
    row = Verification.objects.filter(target_service=service).latest("started_at")
    Verification.objects.filter(id=row.id).update(status="following", backlog=501)
    assert "501" in refusals(service)["verified"]


def test_a_server_without_room_for_a_slot_or_without_a_bound(service: str, both, settings):
    settings.SYNC_SLOT_MAX_BYTES = -1
    assert "keeps" in refusals(service)["slot budget"]


def test_an_app_role_that_owns_tables(service: str, both, settings):
    observed = stages.observe_with(both)
    settings.DATABASE_APP_ROLES = ["lc_owner"]
    check = preconditions.roles(both, observed)
    assert not check.holds
    assert "lc_owner" in check.seen


def test_another_service_in_the_middle_of_a_switch(service: str, both):
    both.shared.execute(
        "INSERT INTO extraction.fence (service, epoch, closed, moving) VALUES ('documents', 1, 1, true)"
        " ON CONFLICT (service) DO UPDATE SET closed = 1, moving = true"
    )
    try:
        with stages.pair("documents") as documents:
            documents.shared.execute("REVOKE INSERT ON documents_command FROM lc_app, lc_documents")
        assert "documents" in refusals(service)["another extraction"]
    finally:
        both.shared.execute("GRANT INSERT ON documents_command TO lc_app, lc_documents")
        both.shared.execute("UPDATE extraction.fence SET closed = 0, moving = false WHERE service = 'documents'")


def test_a_service_without_a_copy_is_not_relocated():
    assert {"synchronised", "verified", "lag"} <= refusals("workflow").keys()


@pytest.mark.usefixtures("verified")
def test_a_plan_takes_no_lock_and_writes_no_record(service: str, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object):
        raise AssertionError("a dry run takes the switch's lock")

    monkeypatch.setattr(advisory_locks, "during_switch", refuse)
    records = Move.objects.filter(service=service).count()
    for name in ACTIONS:
        assert plans.show(service, name).plan.steps
    assert Move.objects.filter(service=service).count() == records
    assert stages.observe(service).stage is stages.Stage.VERIFIED
