"""The manifest of a backup: written last, by a rename, so that a folder without one is no backup."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec
from django.conf import settings

from apps.core import topology
from apps.core.postgres import database_roles

FORMAT = 1
NAME = "manifest.json"
PIECE = 1024 * 1024
# Secrets are no part of a backup. Each must be stored separately; the text is the consequence of its loss.
KEPT_BESIDE: dict[str, str] = {
    "SECRET_KEY": "sessions end: all people log in again",
    "JWT_SIGNING_KEY": "access tokens are refused, and clients that cache the public key fetch it again",
    "REFRESH_TOKEN_SECRET": "refresh tokens are refused: every program logs in again",
    "COMMAND_DIGEST_SECRET": "a command repeated under its key within 72 hours is refused as another one",
    "SEAM_MASTER_SECRETS": "services with pair secrets need new ones",
}


class NoBackup(Exception):
    """The folder holds no whole backup, or it is damaged or of another version; the message names the file."""


class TableFacts(msgspec.Struct, frozen=True):
    """A table at the instant: its rows, and the sum of their hashes (`core.postgres.checksums`)."""

    rows: int
    sum: str


class Grant(msgspec.Struct, frozen=True):
    """A right of a role on a table or sequence; the role `public` stands for all roles."""

    kind: str
    name: str
    role: str
    right: str


class Fence(msgspec.Struct, frozen=True):
    """The part of a service's fence that a restore keeps."""

    service: str
    epoch: int
    closed: int


class Database(msgspec.Struct, frozen=True):
    """One database: its file with size and SHA-256, and the facts that the file does not hold."""

    alias: str
    file: str
    bytes: int
    sha256: str
    server_version: int
    tables: dict[str, TableFacts]
    grants: tuple[Grant, ...]
    future_grants: tuple[Grant, ...]
    fences: tuple[Fence, ...]

    @property
    def rows(self) -> int:
        """The number of rows in all tables."""
        return sum(table.rows for table in self.tables.values())


class Objects(msgspec.Struct, frozen=True):
    """The list of objects, a file of JSON lines, with its totals. `copied` of them were in no earlier backup."""

    file: str
    sha256: str
    count: int
    bytes: int
    copied: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole backup. `cut_at` is the instant that it shows; `pause_ms` is how long commands waited for it."""

    format: int
    id: str
    product: str
    tool: str
    started_at: datetime
    cut_at: datetime
    ended_at: datetime
    pause_ms: float
    attempts: int
    primaries: dict[str, str] = msgspec.field(name="homes")
    stages: dict[str, str]
    migrations: tuple[str, ...]
    databases: tuple[Database, ...]
    objects: Objects
    kept_beside: dict[str, str]

    @property
    def bytes(self) -> int:
        """The size of the whole backup with its objects."""
        return sum(database.bytes for database in self.databases) + self.objects.bytes


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest in one atomic step, which makes the folder a backup."""
    draft = folder / f"{NAME}.draft"
    with open(draft, "wb", opener=_private) as output:
        output.write(msgspec.json.format(msgspec.json.encode(manifest)))
        output.flush()
        os.fsync(output.fileno())
    draft.replace(folder / NAME)
    sync_folder(folder)


def read(folder: Path) -> Manifest:
    """The manifest of a folder. Raises: NoBackup."""
    file = folder / NAME
    try:
        text = file.read_bytes()
    except OSError:
        raise NoBackup(f"{folder} is no whole backup: it has no {NAME}") from None
    try:
        header = msgspec.json.decode(text, type=_OfAnyFormat)
        if header.format != FORMAT:
            raise NoBackup(f"{file} has format {header.format}; this version reads format {FORMAT}")
        return _with_roles_of_services(msgspec.json.decode(text, type=Manifest))
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise NoBackup(f"{file} is damaged: {error}") from error


def _with_roles_of_services(manifest: Manifest) -> Manifest:
    """A backup of a version with one role for all lifted-out services: its rights, as each service's own role."""
    if any(database_roles.RETIRED in database_roles.of(service) for service in topology.entries()):
        return manifest
    databases = tuple(
        msgspec.structs.replace(
            database,
            grants=_each_once(right for grant in database.grants for right in _as_own_role(grant, grant.name)),
            future_grants=_each_once(
                right for grant in database.future_grants for right in _as_own_role(grant, f"{database.alias}_")
            ),
        )
        for database in manifest.databases
    )
    return msgspec.structs.replace(manifest, databases=databases)


def _each_once(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """While an upgrade is under way, both roles have the same rights."""
    return tuple(dict.fromkeys(grants))


def _as_own_role(grant: Grant, table: str) -> tuple[Grant, ...]:
    if grant.role != database_roles.RETIRED:
        return (grant,)
    services = [name for name in topology.entries() if table.startswith(topology.table_names(name))]
    roles = [role for service in services for role in database_roles.own_of(service)]
    return tuple(msgspec.structs.replace(grant, role=role) for role in roles)


def fingerprints(backup_id: str) -> dict[str, str]:
    """A keyed digest of this process's value of each secret: shows whether two are the same, and reveals neither."""
    values = {name: getattr(settings, name) for name in KEPT_BESIDE}
    return {name: _fingerprint(value, backup_id) for name, value in values.items() if value}


def other_secrets(saved: Mapping[str, str], backup_id: str) -> list[str]:
    """The secrets of this process that differ from those at the time of the backup."""
    present = fingerprints(backup_id)
    return [name for name, value in saved.items() if present.get(name) != value]


def digest_of(file: Path) -> str:
    """SHA-256 of a file, in hex, read in pieces. Raises: OSError."""
    with open(file, "rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that a file renamed into it survives a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fingerprint(value: object, backup_id: str) -> str:
    text = ",".join(value) if isinstance(value, list) else str(value)
    return hmac.digest(text.encode(), f"landcontracts backup {backup_id}".encode(), "sha256").hex()[:32]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class _OfAnyFormat(msgspec.Struct):
    format: int
