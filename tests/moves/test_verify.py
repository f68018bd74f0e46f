"""A comparison reports every kind of difference, and no row that has only not arrived yet."""

import time
import unicodedata

import psycopg
import pytest

from apps.core.seam.client.registry import call
from apps.datasync.gateways import changes
from apps.datasync.interface import DATASYNC, DifferenceKind
from apps.datasync.models import Verification
from apps.extraction.relocation import actions, synchronisation
from tests.moves.conftest import INITIATOR, ctx, until

COLUMNS = "(id, method, actor_id, key, arguments_digest, answer)"
KEY = "00000000-0000-4000-8000-00000000000{}"
# A column's value in the primary, and the copy's value.
UNLIKE = {
    "one bit": ("arguments_digest", "'\\x00ff'::bytea", "'\\x00fe'::bytea"),
    "NULL and empty": ("answer", "NULL", "''::bytea"),
    "NULL and the zero UUID": ("actor_id", "NULL", "'00000000-0000-0000-0000-000000000000'::uuid"),
    "an hour": ("created_at", "'2026-03-01 10:00+03'::timestamptz", "'2026-03-01 10:00+02'::timestamptz"),
    "a microsecond": ("created_at", "'2026-03-01 10:00:00.000001Z'", "'2026-03-01 10:00:00.000002Z'"),
    "normalisation": ("key", f"'{unicodedata.normalize('NFC', 'Йод')}'", f"'{unicodedata.normalize('NFD', 'Йод')}'"),
    "case": ("key", "'Ключ'", "'ключ'"),
    "a blank at the end": ("key", "'ключ'", "'ключ '"),
}


def put(connection: psycopg.Connection, number: int, **values: str) -> None:
    row = {
        "method": "'test'",
        "key": "'k'",
        "arguments_digest": "''::bytea",
        "id": f"'{KEY.format(number)}'",
        **values,
    }
    connection.execute(
        f"INSERT INTO notifications_command ({', '.join(row)}) VALUES ({', '.join(row.values())}) "
        f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in row)}"
    )


@pytest.fixture(autouse=True)
def no_rows(both):
    yield
    for connection in (both.shared, both.own):
        connection.execute("DELETE FROM notifications_command WHERE method = 'test'")


def differences(service: str) -> list:
    actions.VERIFY.perform(service, INITIATOR, anew=True)
    listed = call(DATASYNC).differences(ctx=ctx(), target_service=service, limit=200)
    return [difference for difference in listed if difference.key[0].startswith("00000000-")]


@pytest.mark.usefixtures("following")
@pytest.mark.parametrize("name", UNLIKE)
def test_a_value_that_differs(service: str, both, name: str):
    column, ours, theirs = UNLIKE[name]
    put(both.shared, 1, **{column: ours})
    until(lambda: both.own.execute("SELECT 1 FROM notifications_command WHERE id = %s", [KEY.format(1)]).fetchone())
    put(both.own, 1, **{column: theirs})
    (difference,) = differences(service)
    assert (difference.table, difference.key, difference.kind) == (
        "notifications_command",
        (KEY.format(1),),
        DifferenceKind.CHANGED,
    )
    assert column in difference.fields


@pytest.mark.usefixtures("following")
def test_rows_that_are_missing_or_too_many_all_of_them(service: str, both):
    for number in range(5):
        put(both.shared, number)
    until(
        lambda: both.own.execute("SELECT count(*) FROM notifications_command WHERE method = 'test'").fetchone() == (5,)
    )
    both.own.execute("DELETE FROM notifications_command WHERE method = 'test' AND id <> %s", [KEY.format(0)])
    for number in range(6, 9):
        put(both.own, number)
    kinds = [difference.kind for difference in differences(service)]
    assert kinds.count(DifferenceKind.MISSING) == 4
    assert kinds.count(DifferenceKind.EXTRA) == 3


def test_the_scale_of_a_number_is_part_of_it(both):
    from apps.datasync.gateways.tables import Column, Table

    column = (Column("value", "numeric"),)
    table = Table("scales", column, column, 1, 1)
    hashes = []
    for connection, value in ((both.shared, "1.0"), (both.own, "1.00")):
        connection.execute("CREATE TABLE scales (value numeric)")
        try:
            connection.execute("INSERT INTO scales VALUES (%s::numeric)", [value])
            from psycopg import sql

            hashes.append(connection.execute(sql.SQL("SELECT {} FROM scales").format(table.row_hash)).fetchone())
        finally:
            connection.execute("DROP TABLE scales")
    assert hashes[0] != hashes[1]


SPOIL = """
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN RETURN NULL; END IF;
    NEW.answer = 'x';
    RETURN NEW;
END $$;
CREATE TRIGGER spoil BEFORE UPDATE OR DELETE ON notifications_command FOR EACH ROW EXECUTE FUNCTION spoil();
ALTER TABLE notifications_command ENABLE ALWAYS TRIGGER spoil;
"""


@pytest.mark.usefixtures("verified")
def test_changes_after_the_first_round_are_compared_deletes_too(service: str, both):
    put(both.shared, 1)
    put(both.shared, 2)
    until(
        lambda: both.own.execute("SELECT count(*) FROM notifications_command WHERE method = 'test'").fetchone() == (2,)
    )
    both.own.execute(SPOIL)
    try:
        both.shared.execute("UPDATE notifications_command SET key = 'changed' WHERE id = %s", [KEY.format(1)])
        both.shared.execute("DELETE FROM notifications_command WHERE id = %s", [KEY.format(2)])
        differing = until(lambda: len(listed := all_of(service)) == 2 and listed)
        assert {(difference.key, difference.kind, difference.fields) for difference in differing} == {
            ((KEY.format(1),), DifferenceKind.CHANGED, ("answer",)),
            ((KEY.format(2),), DifferenceKind.EXTRA, ()),
        }
    finally:
        both.own.execute("DROP FUNCTION spoil() CASCADE")
    both.own.execute("DELETE FROM notifications_command WHERE id = %s", [KEY.format(2)])
    put(both.shared, 2)
    both.shared.execute("DELETE FROM notifications_command WHERE id = %s", [KEY.format(1)])
    until(lambda: not all_of(service))


def all_of(service: str) -> list:
    """The differences so far, after the comparison was advanced."""
    advanced(service)
    return list(call(DATASYNC).differences(ctx=ctx(), target_service=service, limit=200))


def advanced(service: str) -> None:
    """Advance the comparison."""
    synchronisation.advance(service)


@pytest.mark.usefixtures("verified")
def test_a_busy_table_under_load_has_no_difference(service: str, both):
    deadline = time.monotonic() + 2
    count = 0
    while time.monotonic() < deadline:
        count += 1
        put(both.shared, count % 10, key=f"'{count}'")
        if count % 7 == 0:
            both.shared.execute("DELETE FROM notifications_command WHERE id = %s", [KEY.format(count % 10)])
    assert differences(service) == []
    assert call(DATASYNC).verification(ctx=ctx(), target_service=service).backlog <= 500


@pytest.mark.usefixtures("following")
def test_a_comparison_that_was_cut_off_goes_on_where_it_was(service: str):
    verification = call(DATASYNC).verify(ctx=ctx(), target_service=service, anew=True)
    until(lambda: call(DATASYNC).verification(ctx=ctx(), target_service=service).compared_at)
    compared = call(DATASYNC).verification(ctx=ctx(), target_service=service).rows_compared
    Verification.objects.filter(id=verification.verification_id).update(status="stopped")
    from apps.datasync.logic import verification_worker

    until(
        lambda: not verification_worker._threads[verification.verification_id].is_alive()
    )  # as if its process were gone
    Verification.objects.filter(id=verification.verification_id).update(status="following")
    again = call(DATASYNC).verify(ctx=ctx(), target_service=service)
    assert again.verification_id == verification.verification_id
    assert again.rows_compared == compared


@pytest.mark.usefixtures("verified")
def test_one_that_was_stopped_begins_anew_because_its_slot_is_gone(service: str):
    first = call(DATASYNC).stop_verification(ctx=ctx(), target_service=service)
    again = call(DATASYNC).verify(ctx=ctx(), target_service=service)
    assert again.verification_id != first.verification_id


def test_messages_of_the_replication_log_are_parsed():
    """Inserts, updates with and without an old key, deletes, and values that did not change (PostgreSQL manual, 54.9)."""
    relation = b"R\x00\x00\x00\x07public\x00t\x00d\x00\x02\x01id\x00\x00\x00\x00\x17\xff\xff\xff\xff\x00v\x00\x00\x00\x00\x19\xff\xff\xff\xff"
    one = b"\x00\x02t\x00\x00\x00\x011t\x00\x00\x00\x02ab"
    two = b"\x00\x02t\x00\x00\x00\x012u"
    gone = b"\x00\x02t\x00\x00\x00\x013n"
    commit = b"C\x00" + (5).to_bytes(8, "big") + (0x1_0000_0010).to_bytes(8, "big") + bytes(8)
    parsed = changes.read(
        [
            ("0/1", relation),
            ("0/1", b"I\x00\x00\x00\x07N" + one),
            ("0/1", b"U\x00\x00\x00\x07K" + gone + b"N" + two),
            ("0/1", b"D\x00\x00\x00\x07K" + gone),
            ("0/1", b"T\x00\x00\x00\x01\x00\x00\x00\x00\x07"),
            ("0/1", commit),
        ]
    )
    assert parsed.rows == {"t": {("1",), ("2",), ("3",)}}
    assert parsed.tables == {"t"}
    assert parsed.upto == "1/10"
    with pytest.raises(changes.UnknownMessage):
        changes.read([("0/1", b"Z")])


@pytest.mark.usefixtures("verified")
def test_a_missing_row_is_found_although_it_keeps_changing(service: str, both):
    put(both.shared, 1)
    until(lambda: both.own.execute("SELECT 1 FROM notifications_command WHERE id = %s", [KEY.format(1)]).fetchone())
    both.own.execute("DELETE FROM notifications_command WHERE id = %s", [KEY.format(1)])
    count = 0

    def differences_after_updates() -> list:
        nonlocal count
        for _ in range(20):  # an update of a row that is not there is skipped in silence
            count += 1
            put(both.shared, 1, key=f"'{count}'")
        return all_of(service)

    (missing,) = until(differences_after_updates)
    assert (missing.key, missing.kind) == ((KEY.format(1),), DifferenceKind.MISSING)


@pytest.mark.usefixtures("verified")
def test_a_second_copy_has_to_be_compared_anew(service: str, both):
    from apps.core.postgres import connections, replication
    from apps.extraction.state import stages

    sync = stages.live_sync(service)
    replication.unsubscribe(both.own, "lc_notifications")
    with connections.replicator("default") as slots:
        replication.drop_slot(slots, "lc_notifications")
    from apps.datasync.models import Sync

    until(lambda: Sync.objects.get(id=sync.sync_id).status == "failed")
    actions.SYNC.perform(service, INITIATOR)
    assert stages.observe(service).stage is stages.Stage.SYNCING


@pytest.mark.usefixtures("verified")
def test_a_leader_who_was_stopped_does_not_stop_the_comparison(service: str):
    from apps.core.postgres import advisory_locks, connections

    with connections.control("default", options="") as stopped, advisory_locks.during_switch(stopped, service):
        before = call(DATASYNC).verification(ctx=ctx(), target_service=service).checked_at
        until(
            lambda: (
                advanced(service) or call(DATASYNC).verification(ctx=ctx(), target_service=service).checked_at > before
            )
        )
