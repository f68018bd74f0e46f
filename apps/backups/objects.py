"""Copies the objects that rows name out of their bucket, each only once, and puts them back, checked by digest."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.storage import storages
from psycopg import sql

from apps.backups.instant import Instant
from apps.backups.manifest import PIECE, NoBackup, Objects, digest_of
from apps.core import topology
from apps.core.postgres import connections
from apps.core.postgres.pg_dump import BackupFailed

LIST = "objects.jsonl"
FOLDER = "objects"
WORKERS = 4
BATCH = 200


class Entry(msgspec.Struct, frozen=True):
    """An object that a row names. `sha256` in hex, `size` in bytes."""

    storage: str
    key: str
    sha256: str
    size: int
    media_type: str


class Bucket:
    """One storage's bucket; without a name, the bucket of the settings."""

    def __init__(self, storage: str, name: str = "") -> None:
        backend: Any = storages[storage]
        self.client: Any = backend.connection.meta.client
        self.name: str = name or backend.bucket_name

    def fetch(self, entry: Entry, file: Path) -> None:
        """Copy an object into a file. Raises: BackupFailed where it is missing or differs from its row."""
        draft = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        digest, size = hashlib.sha256(), 0
        try:
            body = self.client.get_object(Bucket=self.name, Key=entry.key)["Body"]
            with open(draft, "wb") as output:
                for piece in body.iter_chunks(PIECE):
                    digest.update(piece)
                    size += len(piece)
                    output.write(piece)
                output.flush()
                os.fsync(output.fileno())
        except (BotoCoreError, ClientError) as error:
            raise BackupFailed(f"object {entry.key} cannot be read: {error}") from error
        if (digest.hexdigest(), size) != (entry.sha256, entry.size):
            draft.unlink()
            raise BackupFailed(f"object {entry.key} is not what its row says: {size} bytes, {digest.hexdigest()}")
        draft.replace(file)

    def store(self, entry: Entry, file: Path) -> bool:
        """Put an object, unless the same one is there already; whether it was put. Raises: BackupFailed."""
        try:
            if self._holds(entry):
                return False
            with open(file, "rb") as source:
                self.client.put_object(Bucket=self.name, Key=entry.key, Body=source, ContentType=entry.media_type)
            if not self._holds(entry):
                raise BackupFailed(f"object {entry.key} is not what was put")
        except (BotoCoreError, ClientError) as error:
            raise BackupFailed(f"object {entry.key} cannot be put: {error}") from error
        return True

    def is_empty(self) -> bool:
        """Whether the bucket is empty. Raises: BackupFailed."""
        try:
            return not self.client.list_objects_v2(Bucket=self.name, MaxKeys=1).get("KeyCount", 0)
        except (BotoCoreError, ClientError) as error:
            raise BackupFailed(f"bucket {self.name} cannot be read: {error}") from error

    def _holds(self, entry: Entry) -> bool:
        """Whether the bucket has the object, by reading it back: a length or the storage's tag is no proof."""
        try:
            answer = self.client.get_object(Bucket=self.name, Key=entry.key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey", "NotFound"}:
                return False
            raise
        digest = hashlib.sha256()
        for piece in answer["Body"].iter_chunks(PIECE):
            digest.update(piece)
        return digest.hexdigest() == entry.sha256


def buckets(name: str = "") -> list[Bucket]:
    """Every bucket in which a service keeps objects."""
    names = {stored.storage for stored in map(topology.objects_of, topology.entries()) if stored}
    return [Bucket(storage, name) for storage in sorted(names)]


def named_by(instant: Instant) -> Iterator[Entry]:
    """Every object that a row names at the instant, read in batches. Raises: psycopg.Error."""
    for service in topology.entries():
        stored = topology.objects_of(service)
        if stored is None:
            continue
        view = instant.views[instant.primaries[service]]
        with connections.control(view.alias, options="") as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(view.snapshot)))
            with connection.cursor(name="objects") as cursor:
                cursor.itersize = BATCH
                cursor.execute(stored.query)
                for key, sha256, size, media_type in cursor:
                    yield Entry(stored.storage, key, sha256, size, media_type)


def copy(instant: Instant, folder: Path, earlier: Sequence[Path], *, reread: bool) -> Objects:
    """Copy the objects that rows name, or link those of an earlier backup. `reread` checks these for disk errors first.

    Raises: BackupFailed.
    """
    source = _Source(folder, earlier, reread=reread)
    count = 0
    lines = folder / LIST
    with (
        ThreadPoolExecutor(WORKERS, thread_name_prefix="objects") as workers,
        open(lines, "wb", opener=_private) as output,
    ):
        for batch in _batches(named_by(instant)):
            list(workers.map(source.bring, {entry.sha256: entry for entry in batch}.values()))
            output.writelines(msgspec.json.encode(entry) + b"\n" for entry in batch)
            count += len(batch)
        output.flush()
        os.fsync(output.fileno())
    return Objects(LIST, digest_of(lines), count, source.bytes, source.copied)


def listed(folder: Path) -> Iterator[Entry]:
    """The objects of a backup. Raises: NoBackup."""
    with open(folder / LIST, "rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield msgspec.json.decode(line, type=Entry)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                raise NoBackup(f"{folder / LIST}, line {number}: {error}") from error


def check(folder: Path) -> int:
    """Read every object of a backup; returns their number. Raises: NoBackup naming a missing or damaged file."""

    def check_one(entry: Entry) -> None:
        file = place(folder, entry.sha256)
        try:
            digest = digest_of(file)
        except OSError:
            raise NoBackup(f"{file} is missing: the object {entry.key}") from None
        if digest != entry.sha256:
            raise NoBackup(f"{file} is damaged: the object {entry.key}")

    return _each(listed(folder), check_one)


def put_back(folder: Path, bucket_name: str) -> int:
    """Put every missing object back under its key; returns the number put. Raises: BackupFailed, NoBackup."""
    buckets: dict[str, Bucket] = {}
    put: list[str] = []

    def put_one(entry: Entry) -> None:
        if buckets[entry.storage].store(entry, place(folder, entry.sha256)):
            put.append(entry.key)

    def with_bucket() -> Iterator[Entry]:
        for entry in listed(folder):
            if entry.storage not in buckets:
                buckets[entry.storage] = Bucket(entry.storage, bucket_name)
            yield entry

    _each(with_bucket(), put_one)
    return len(put)


def place(folder: Path, sha256: str) -> Path:
    """The path of an object in a backup."""
    return folder / FOLDER / sha256[:2] / sha256


class _Source:
    """Copies objects into a backup, from an earlier one or from the bucket."""

    def __init__(self, folder: Path, earlier: Sequence[Path], *, reread: bool) -> None:
        self._folder, self._earlier, self._reread = folder, earlier, reread
        self._buckets = {
            stored.storage: Bucket(stored.storage) for stored in map(topology.objects_of, topology.entries()) if stored
        }
        self._sizes: list[int] = []
        self._copies: list[str] = []

    @property
    def bytes(self) -> int:
        return sum(self._sizes)

    @property
    def copied(self) -> int:
        return len(self._copies)

    def bring(self, entry: Entry) -> None:
        """Copy one object; two rows may name the same bytes."""
        file = place(self._folder, entry.sha256)
        if file.exists():
            return
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._linked(entry, file):
            self._buckets[entry.storage].fetch(entry, file)
            self._copies.append(entry.key)
        self._sizes.append(entry.size)

    def _linked(self, entry: Entry, file: Path) -> bool:
        for folder in self._earlier:
            existing = place(folder, entry.sha256)
            try:
                if existing.stat().st_size != entry.size or (self._reread and digest_of(existing) != entry.sha256):
                    continue
                try:
                    os.link(existing, file)
                except FileExistsError:
                    return True
                except OSError:  # a file system without links, or with too many of them
                    shutil.copyfile(existing, file)
                    if digest_of(file) != entry.sha256:
                        file.unlink()
                        continue
            except OSError:
                continue
            return True
        return False


def _each(entries: Iterator[Entry], do: Any) -> int:
    count = 0
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="objects") as workers:
        for batch in _batches(entries):
            list(workers.map(do, batch))
            count += len(batch)
    return count


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
