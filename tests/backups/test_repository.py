"""What a complete backup is, what an interrupted one leaves, and what is refused before any change."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from django.core.files.storage import storages
from django.core.management import CommandError, call_command

from apps.backups import instant as backup_instant
from apps.backups import manifest, objects, repository, restore, take, targets, verify
from apps.backups.manifest import NoBackup
from apps.backups.repository import Backup
from apps.backups.targets import NoTarget
from apps.core.database import primaries
from apps.core.postgres import connections
from apps.core.postgres.pg_dump import BackupFailed
from apps.extraction.state import stages
from landcontracts.embedded.stack import BASE
from tests.moves.conftest import until
from tests.world import World, pdf


@pytest.fixture
def copy(backup: Backup, tmp_path: Path) -> Backup:
    """The same backup, for a test to damage."""
    folder = tmp_path / backup.folder.name
    shutil.copytree(backup.folder, folder)
    return Backup(folder, backup.manifest)


def flip(file: Path) -> None:
    """Change one bit in the middle."""
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)


def test_a_backup_holds_every_row_and_every_object_once(backup: Backup, stored: World):
    entries = list(objects.listed(backup.folder))
    assert backup.manifest.objects.count == len(entries) >= 3
    files = [file for file in (backup.folder / objects.FOLDER).rglob("*") if file.is_file()]
    assert len(files) == len({entry.sha256 for entry in entries}) < len(entries)
    assert backup.manifest.databases[0].tables["documents_document"].rows >= 3
    assert set(backup.manifest.primaries.values()) == {"default"}
    assert oct(backup.folder.stat().st_mode)[-3:] == "700"
    assert {oct(file.stat().st_mode)[-3:] for file in backup.folder.glob("*.dump")} == {"600"}


def test_no_secret_is_in_it_and_another_secret_is_noticed(backup: Backup, settings):
    text = (backup.folder / manifest.NAME).read_text()
    for name in manifest.KEPT_BESIDE:
        value = getattr(settings, name)
        assert (value[0] if isinstance(value, list) else value) not in text
    assert manifest.other_secrets(backup.manifest.kept_beside, backup.manifest.id) == []
    settings.COMMAND_DIGEST_SECRET = "another"
    assert manifest.other_secrets(backup.manifest.kept_beside, backup.manifest.id) == ["COMMAND_DIGEST_SECRET"]


def test_it_is_restored_into_scratch_databases_unchanged_and_they_are_removed(backup: Backup):
    lines: list[str] = []
    with targets.scratch(["default"]) as target:
        restore.require_target(backup, target, replace=False)
        done = restore.restore(backup, target, tell=lines.append)
        with target.reach("default") as connection:
            owners = connection.execute(
                "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            ).fetchall()
            assert owners == [("lc_owner",)]
            # One changed row is detected.
            connection.execute("UPDATE contracts_contract SET price = price::numeric(20, 3)::numeric(20, 2) + 0.01")
        with pytest.raises(verify.NotTheSame, match="contracts_contract"):
            verify.contents(backup.manifest, target)
    assert done.compared[0].rows == backup.manifest.databases[0].rows
    assert any("are the same" in line for line in lines)
    with connections.control(primaries.SHARED) as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'lc_restore_%'").fetchall()
    assert left == []


def test_an_extra_grant_is_detected(backup: Backup):
    with targets.scratch(["default"]) as target:
        restore.restore(backup, target)
        with target.reach("default") as connection:
            connection.execute("GRANT DELETE ON documents_document TO lc_replicator")
        with pytest.raises(verify.NotTheSame, match="lc_replicator DELETE documents_document"):
            verify.rights_and_primaries(backup.manifest, target)
        with target.reach("default") as connection:
            connection.execute("REVOKE DELETE ON documents_document FROM lc_replicator")
            connection.execute("REVOKE INSERT ON documents_command FROM lc_app")
        with pytest.raises(verify.NotTheSame, match=r"documents_command|writable in no database"):
            verify.rights_and_primaries(backup.manifest, target)


def test_an_object_of_an_earlier_backup_is_linked_and_not_copied(tmp_path: Path, stored: World):
    root, backup = tmp_path, take.take(tmp_path, stages=stages.by_service())
    seller = stored.person()
    stored.document(seller, stored.contract(seller, stored.person()), pdf("three"))
    later = take.take(root, stages=stages.by_service())
    assert later.manifest.objects.copied == 1
    assert later.manifest.objects.count == backup.manifest.objects.count + 1
    entry = next(objects.listed(backup.folder))
    assert objects.place(backup.folder, entry.sha256).samefile(objects.place(later.folder, entry.sha256))
    # A disk has changed an object: reading it notices this, and `reread` copies it again.
    flip(objects.place(backup.folder, entry.sha256))
    with pytest.raises(NoBackup, match=entry.sha256):
        restore.check_files(later)
    reread = take.take(root, stages=stages.by_service(), reread=True)
    restore.check_files(reread)
    assert reread.manifest.objects.copied == 1
    assert repository.newest(root).manifest.id == reread.manifest.id
    call_command("backup", to=str(root), keep=1, only_keep=True)
    assert [remaining.manifest.id for remaining in repository.whole(root)] == [reread.manifest.id]
    restore.check_files(reread)


@pytest.mark.parametrize("how", ["damaged", "truncated", "missing"])
@pytest.mark.parametrize("what", ["dump", "list", "object"])
def test_an_incomplete_file_is_named(copy: Backup, what: str, how: str):
    first = next(objects.listed(copy.folder))
    file = {
        "dump": copy.folder / "default.dump",
        "list": copy.folder / objects.LIST,
        "object": objects.place(copy.folder, first.sha256),
    }[what]
    if how == "damaged":
        flip(file)
    elif how == "truncated":
        os.truncate(file, file.stat().st_size - 1)
    else:
        file.unlink()
    with pytest.raises(NoBackup, match=file.name):
        restore.check_files(copy)


def test_another_format_and_a_newer_version_are_refused(copy: Backup):
    text = json.loads((copy.folder / manifest.NAME).read_text())
    (copy.folder / manifest.NAME).write_text(json.dumps(text | {"format": 2}))
    with pytest.raises(NoBackup, match="format 2"):
        manifest.read(copy.folder)
    (copy.folder / manifest.NAME).write_text(json.dumps(text)[:-9])
    with pytest.raises(NoBackup, match="is damaged"):
        manifest.read(copy.folder)
    newer = msgspec.structs.replace(copy.manifest, migrations=(*copy.manifest.migrations, "documents.0999_later"))
    with pytest.raises(NoBackup, match=r"documents\.0999_later"):
        restore.require_target(
            Backup(copy.folder, newer), targets.this_environment(), replace=True, word="landcontracts"
        )


def test_a_target_that_is_not_empty_is_refused_without_confirmation(backup: Backup):
    target = targets.this_environment()
    with pytest.raises(NoTarget, match=r"not empty: default, .*the bucket"):
        restore.require_target(backup, target, replace=False)
    with pytest.raises(NoTarget, match="--confirm landcontracts"):
        restore.require_target(backup, target, replace=True, word="yes")
    with pytest.raises(CommandError, match="not empty"):
        call_command("restore", str(backup.folder), root=str(backup.folder.parent))


def test_a_part_of_this_environment_is_not_restored_alone(backup: Backup):
    whole = targets.this_environment()
    part = whole._replace(urls={alias: url for alias, url in whole.urls.items() if alias != "documents"}, is_this=False)
    with pytest.raises(NoTarget, match="documents would stay as they are"):
        restore.require_target(backup, part, replace=True, word=part.word)


def test_a_row_whose_object_is_gone_makes_no_backup(stored: World, tmp_path: Path):
    seller = stored.person()
    document = stored.document(seller, stored.contract(seller, stored.person()), pdf("gone"))
    storage = storages["documents"]
    client, name = storage.connection.meta.client, storage.bucket_name
    key = f"documents/{document.id}/{document.sha256}"
    for body in (None, b"something else"):
        if body is None:
            client.delete_object(Bucket=name, Key=key)
        else:
            client.put_object(Bucket=name, Key=key, Body=body)
        with pytest.raises(BackupFailed, match=key):
            take.take(tmp_path / "one", stages=stages.by_service())
        assert repository.whole(tmp_path / "one") == []
    client.put_object(Bucket=name, Key=key, Body=pdf("gone"))
    assert take.take(tmp_path / "one", stages=stages.by_service()).manifest.objects.count > 0


def test_a_killed_backup_is_no_backup_and_the_next_reuses_its_objects(stored: World, tmp_path: Path):
    process = subprocess.Popen([sys.executable, "manage.py", "backup", "--to", str(tmp_path)], cwd=BASE)
    try:
        # It may end between two looks: objects are few, and most of them linked.
        begun = f"{repository.UNFINISHED}*/{objects.FOLDER}/*/*"
        until(lambda: process.poll() is not None or list(tmp_path.glob(begun)), 60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    if done := repository.whole(tmp_path):  # it finished before the kill: then it is complete
        restore.check_files(done[0])
        return
    (left,) = repository.unfinished(tmp_path)
    with pytest.raises(NoBackup, match=r"no manifest\.json"):
        manifest.read(left)
    with pytest.raises(CommandError, match="no whole backup"):
        call_command("restore", str(left), root=str(tmp_path), check=True)
    with pytest.raises(NoBackup, match="there is no backup"):
        repository.newest(tmp_path)
    reusable = {file.name for file in (left / objects.FOLDER).rglob("*") if file.is_file() and len(file.name) == 64}
    backup = take.take(tmp_path, stages=stages.by_service())
    restore.check_files(backup)
    assert backup.manifest.objects.copied == len({entry.sha256 for entry in objects.listed(backup.folder)} - reusable)
    assert repository.unfinished(tmp_path) == []


def test_two_at_a_time_are_refused(tmp_path: Path):
    with repository.held(tmp_path, writing=False), pytest.raises(repository.Busy):
        take.take(tmp_path, stages=stages.by_service())
    with repository.held(tmp_path, writing=True), pytest.raises(CommandError, match="another backup"):
        call_command("restore", "latest", root=str(tmp_path))


def test_a_process_that_is_stopped_at_the_instant_blocks_no_write_and_has_no_instant(monkeypatch, stored: World):
    """The server releases its locks; it notices, and takes another instant."""
    real, calls = backup_instant._snapshot, []

    def slow(connection):
        calls.append(connection)
        if len(calls) == 1:
            with connections.control(primaries.SHARED) as watching:
                # Writes succeed again before this process continues.
                until(lambda: not watching.execute("SELECT 1 FROM pg_locks WHERE mode = 'ShareLock' AND granted AND relation = 'documents_command'::regclass").fetchone(), 5)  # fmt: skip
        return real(connection)

    monkeypatch.setattr(backup_instant, "_snapshot", slow)
    with backup_instant.hold_instant() as instant:
        assert instant.attempts == 2


def test_a_command_that_does_not_end_does_not_block_all_writes(stored: World):
    with primaries.connect(primaries.SHARED) as writer:
        writer.execute("BEGIN")
        writer.execute("LOCK TABLE documents_command IN ROW EXCLUSIVE MODE")
        with (
            pytest.raises(BackupFailed, match="no instant could be taken"),
            backup_instant.hold_instant(patience_seconds=0.3),
        ):
            pass
        writer.execute("ROLLBACK")
    with backup_instant.hold_instant(patience_seconds=5):
        pass
