"""Where a service's migration stands: derived from the flags and the databases alone, stored nowhere."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from apps.core import topology
from apps.core.database import primaries
from apps.core.flags import snapshot
from apps.core.flags.routes import system_context
from apps.core.flags.snapshot import FlagState
from apps.core.interface.errors import DomainError
from apps.core.postgres import connections, fences, replication
from apps.core.postgres.connections import Connection
from apps.core.seam.client.registry import call
from apps.datasync.interface import DATASYNC, Sync, SyncPhase, SyncStatus, SyncType, Verification, VerificationStatus

SHARED = primaries.SHARED
LIVE = (SyncStatus.RUNNING, SyncStatus.PAUSED)


class Stage(enum.StrEnum):
    """The stages of a migration (docs/glossary.md), in their order."""

    IN_PROCESS = "in_process"
    SHADOW = "shadow"
    CANARY = "canary"
    REMOTE = "remote"
    SYNCING = "syncing"
    VERIFIED = "verified"
    CUTTING = "cutting"
    REVERSIBLE = "reversible"
    COMMITTED = "committed"
    DECOMMISSIONED = "decommissioned"


# The data are in the service's own database for good.
MIGRATED = frozenset({Stage.COMMITTED, Stage.DECOMMISSIONED})


class TwoPrimaries(Exception):
    """Both databases let the platform write.

    This is no stage of a migration, and has to be ended before anything else.
    """


class Pair(NamedTuple):
    """Control connections to both databases that may be the primary of a service's data."""

    service: str
    shared: Connection
    own: Connection

    def side(self, alias: str) -> Connection:
        """The connection of an alias."""
        return self.shared if alias == SHARED else self.own

    def other(self, alias: str) -> str:
        """The alias of the other one."""
        return self.service if alias == SHARED else SHARED


class Side(NamedTuple):
    """The state of one database: whether the platform may write, its epoch, and whether it follows the other."""

    alias: str
    has_tables: bool
    is_writable: bool
    epoch: int
    closed: int
    is_moving: bool
    is_subscribed: bool


class Observed(NamedTuple):
    """The state of both databases, and the stage that follows from it and from the flags."""

    service: str
    stage: Stage
    shared: Side
    own: Side | None
    sync: Sync | None
    verification: Verification | None

    @property
    def primary(self) -> str | None:
        """The alias of the writable primary; None while a cutover is under way or was left half-way."""
        if self.shared.is_writable:
            return SHARED
        return self.own.alias if self.own is not None and self.own.is_writable else None


@contextlib.contextmanager
def pair(service: str) -> Iterator[Pair]:
    """Connections to both databases. Raises: NoWay, psycopg.OperationalError."""
    with connections.control(SHARED) as shared, connections.control(service) as own:
        yield Pair(service, shared, own)


def back_name(service: str) -> str:
    """The name of publication, slot and subscription of the way back: from a service's own database to the shared."""
    return f"lc_{service}_back"


def forward_name(service: str) -> str:
    """The name of the same three from the shared database to the service's own; `datasync` keeps them."""
    return f"lc_{service}"


def side(connection: Connection, service: str, alias: str) -> Side:
    """Read the state of one database."""
    row = connection.execute(
        "SELECT epoch, closed, moving FROM extraction.fence WHERE service = %s", [service]
    ).fetchone()
    epoch, closed, is_moving = row or (0, 0, False)
    name = back_name(service) if alias == SHARED else forward_name(service)
    return Side(
        alias=alias,
        has_tables=bool(replication.tables_of(connection, service)),
        is_writable=fences.is_writable(connection, service),
        epoch=int(epoch),
        closed=int(closed),
        is_moving=bool(is_moving),
        is_subscribed=replication.is_subscribed(connection, name),
    )


def observe(service: str) -> Observed:
    """Where a service stands. Raises: TwoPrimaries, NoWay, psycopg.OperationalError."""
    if not primaries.is_movable(service) or not connections.is_configured(service):
        only = Side(SHARED, has_tables=True, is_writable=True, epoch=0, closed=0, is_moving=False, is_subscribed=False)
        return Observed(service, _served(service), only, None, None, None)
    with pair(service) as databases:
        return observe_with(databases)


def by_service() -> dict[str, str]:
    """The stage of every service, by its name. Raises: TwoPrimaries, NoWay, psycopg.OperationalError."""
    return {service: observe(service).stage.value for service in topology.entries()}


def observe_with(databases: Pair, syncs: Sequence[Sync] | None = None) -> Observed:
    """The same over open connections, and with the synchronisations if they are known already. Raises: TwoPrimaries."""
    service = databases.service
    shared, own = side(databases.shared, service, SHARED), side(databases.own, service, service)
    sync = live_sync(service, syncs)
    # A caller that passes `syncs` needs the stage alone, which depends on a comparison only while one is live.
    verification = latest_verification(service) if syncs is None or sync is not None else None
    return observed_from(service, shared, own, sync, verification)


def observed_from(
    service: str, shared: Side, own: Side, sync: Sync | None, verification: Verification | None
) -> Observed:
    """The same from values that were read already. Raises: TwoPrimaries."""
    if shared.is_writable and own.is_writable:
        raise TwoPrimaries(service)
    return Observed(service, _stage(service, shared, own, sync, verification), shared, own, sync, verification)


def _stage(service: str, shared: Side, own: Side, sync: Sync | None, verification: Verification | None) -> Stage:
    if own.is_writable:
        if shared.is_subscribed or own.is_subscribed:
            return Stage.REVERSIBLE
        return Stage.COMMITTED if shared.has_tables else Stage.DECOMMISSIONED
    if not shared.is_writable:
        return Stage.CUTTING if own.has_tables else _served(service)
    if sync is not None:
        return Stage.VERIFIED if sync.phase is SyncPhase.FOLLOWING and is_verified(verification) else Stage.SYNCING
    return _served(service)


def is_verified(verification: Verification | None) -> bool:
    """Whether every row was found the same, and changed rows are still being compared."""
    return (
        verification is not None
        and verification.status is VerificationStatus.FOLLOWING
        and verification.compared_at is not None
        and verification.differences == 0
    )


def _served(service: str) -> Stage:
    """The stage by the flags, which decide it up to REMOTE."""
    flags = snapshot.current()
    return served(flags.get(f"{service}_remote", snapshot.OFF), flags.get(f"{service}_shadow", snapshot.OFF))


def served(remote: FlagState, shadow: FlagState) -> Stage:
    """The stage that the two flags of a service give while its data stay in the shared database."""
    if remote.everyone or (remote.everyone is None and remote.percent >= 100):
        return Stage.REMOTE
    if remote.everyone is None and (remote.percent > 0 or remote.actors):
        return Stage.CANARY
    is_shadowed = shadow.everyone or (shadow.everyone is None and (shadow.percent > 0 or shadow.actors))
    return Stage.SHADOW if is_shadowed else Stage.IN_PROCESS


def live_sync(service: str, syncs: Sequence[Sync] | None = None) -> Sync | None:
    """The live synchronisation of all of a service's tables, if any; `syncs` are the latest of all services."""
    if syncs is None:
        syncs = call(DATASYNC).list(ctx=system_context(f"extraction.{service}"), limit=200)
    for sync in syncs:
        is_whole = sync.target_service == service and not sync.source_table and sync.sync_type is SyncType.INCREMENTAL
        if is_whole and sync.status in LIVE:
            return sync
    return None


def latest_verification(service: str) -> Verification | None:
    """The latest comparison of a service's rows, if there was one."""
    try:
        return call(DATASYNC).verification(ctx=system_context(f"extraction.{service}"), target_service=service)
    except DomainError:
        return None
