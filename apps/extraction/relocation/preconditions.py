"""The checks before the primary of a service's data changes. Each says what it saw."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from apps.core.postgres import database_roles, fences, replication
from apps.core.postgres.migrate_service import labels_of
from apps.datasync.interface import SyncPhase, SyncStatus
from apps.extraction.state import stages
from apps.extraction.state.checks import Check
from apps.extraction.state.stages import SHARED, Observed, Pair, Stage

MAX_BACKLOG = 500
MAX_LAG_SECONDS = 1.0
MAX_LAG_BYTES = 16 * 1024 * 1024
LONG_TRANSACTION_SECONDS = 2
FRESH = timedelta(seconds=10)
FOREIGN_KEYS = """
SELECT conname, conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint
JOIN pg_class f ON f.oid = conrelid JOIN pg_class t ON t.oid = confrelid
WHERE contype = 'f' AND (f.relname ~ %(p)s) <> (t.relname ~ %(p)s)
"""
IDENTITY = """
SELECT relname FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname ~ %s
  AND NOT (relreplident = 'd' AND EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
"""
# Sequences that a column of these tables takes numbers from, and whether they would move with them.
USED_SEQUENCES = """
SELECT DISTINCT s.relname, s.relname ~ %(p)s FROM pg_depend d
JOIN pg_class s ON s.oid = d.objid OR s.oid = d.refobjid
JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
JOIN pg_class t ON t.oid = a.adrelid
WHERE s.relkind = 'S' AND t.relname ~ %(p)s
UNION
SELECT s.relname, s.relname ~ %(p)s FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_class t ON t.oid = d.refobjid WHERE d.deptype IN ('a', 'i') AND t.relname ~ %(p)s
"""
# Roles with open sessions that may write the service's rows, are not granted them at the cutover, and own nothing.
AT_WORK = """
SELECT DISTINCT r.rolname FROM pg_roles r JOIN pg_stat_activity a ON a.usename = r.rolname
JOIN pg_class c ON c.oid = to_regclass(%s)
WHERE a.datname = current_database() AND has_table_privilege(r.oid, c.oid, 'INSERT') AND r.rolname <> ALL(%s)
  AND NOT r.rolsuper AND NOT pg_has_role(r.oid, c.relowner, 'USAGE')
"""
LONG = """
SELECT pid, usename, application_name, extract(epoch FROM clock_timestamp() - xact_start)::int FROM pg_stat_activity
WHERE backend_type = 'client backend' AND xact_start < clock_timestamp() - make_interval(secs => %s)
  AND datname = current_database() AND pid <> pg_backend_pid() AND usename <> ALL(%s)
"""


def before_sync(pair: Pair, observed: Observed) -> list[Check]:
    """The checks before a service's rows are copied."""
    return [check(pair, observed) for check in (primary_is_shared, *SHAPE)]


def before_cutover(pair: Pair, observed: Observed) -> list[Check]:
    """The checks before the shared database is closed."""
    return [check(pair, observed) for check in (primary_is_shared, *SHAPE, following, lag, verified, *QUIET[1:])]


def before_rollback(pair: Pair, observed: Observed) -> list[Check]:
    """The checks before a service's own database is closed again."""
    return [check(pair, observed) for check in (reversible, migrations, way_back, *QUIET)]


def before_commit(pair: Pair, observed: Observed) -> list[Check]:
    """The checks before the way back is given up."""
    # A commit whose leader died half-way is finished by doing it again.
    holds = observed.stage in {Stage.REVERSIBLE, Stage.COMMITTED}
    return [Check("stage", holds, f"the stage is {observed.stage}")]


def primary_is_shared(pair: Pair, observed: Observed) -> Check:
    """The shared database is still the primary."""
    return Check("primary", observed.primary == SHARED, f"the primary is {observed.primary or 'no database'}")


def reversible(pair: Pair, observed: Observed) -> Check:
    """The service's own database is the primary, and the way back runs."""
    return Check("stage", observed.stage is Stage.REVERSIBLE, f"the stage is {observed.stage}")


def guard(pair: Pair, observed: Observed) -> Check:
    """Both databases can refuse DDL during the relocation."""
    missing = [alias for alias in (SHARED, pair.service) if not fences.is_installed(pair.side(alias))]
    if settings.REHEARSAL:
        return Check("ddl guard", True, "copies need none")
    words = f"migrations_playbook/sql/guard.sql is missing in {', '.join(missing)}" if missing else "DDL is refused"
    return Check("ddl guard", not missing, words)


def roles(pair: Pair, observed: Observed) -> Check:
    """The roles that serve own no table: an owner's rights cannot be revoked. No other role is at work on the tables."""
    query = (
        "SELECT DISTINCT r.rolname FROM pg_roles r WHERE r.rolname = ANY(%s) AND (r.rolsuper OR EXISTS ("
        "SELECT 1 FROM pg_class c WHERE c.relname ~ %s AND c.relkind = 'r' AND pg_has_role(r.oid, c.relowner, 'USAGE')))"
    )
    served_by = database_roles.of(pair.service)
    parameters = [served_by, replication.pattern_of(pair.service)]
    strong = {str(row[0]) for side in (pair.shared, pair.own) for row in side.execute(query, parameters).fetchall()}
    if strong:
        return Check("roles", False, f"owner or superuser: {', '.join(sorted(strong))}")
    for side in (pair.shared, pair.own):
        absent = [role for role in served_by if not database_roles.is_present(side, role)]
        if absent:
            words = f"missing on a server: {', '.join(absent)}; see manage.py database_roles"
            return Check("roles", False, words)
    parameters = [f"public.{pair.service}_command", served_by]
    others = {str(row[0]) for side in (pair.shared, pair.own) for row in side.execute(AT_WORK, parameters).fetchall()}
    if others:
        words = f"would lose its rights at work: {', '.join(sorted(others))}; see manage.py database_roles"
        return Check("roles", False, words)
    if database_roles.RETIRED not in served_by and any(map(database_roles.may_retired_log_in, (pair.shared, pair.own))):
        words = f"{database_roles.RETIRED} may still log in: manage.py database_roles --retire {database_roles.RETIRED}"
        return Check("roles", False, words)
    return Check("roles", True, "rows only")


def migrations(pair: Pair, observed: Observed) -> Check:
    """Both sides have applied the same migrations and have the same tables."""
    query = "SELECT app, name FROM django_migrations WHERE app = ANY(%s)"
    applied: list[set[tuple[str, str]]] = []
    for connection in (pair.shared, pair.own):
        if (connection.execute("SELECT to_regclass('public.django_migrations')").fetchone() or [None])[0] is None:
            return Check("migrations", False, f"none is applied: manage.py extraction {pair.service} prepare")
        rows = connection.execute(query, [list(labels_of(pair.service))]).fetchall()
        applied.append({(str(app), str(name)) for app, name in rows})
    tables = [set(replication.tables_of(connection, pair.service)) for connection in (pair.shared, pair.own)]
    missing = sorted(".".join(name) for name in applied[0] ^ applied[1]) or sorted(tables[0] ^ tables[1])
    words = f"not on both sides: {', '.join(missing)}" if missing else f"{len(applied[0])} on both sides"
    return Check("migrations", not missing, words)


def foreign_keys(pair: Pair, observed: Observed) -> Check:
    """No row refers to a row of another service."""
    rows = pair.shared.execute(FOREIGN_KEYS, {"p": replication.pattern_of(pair.service)}).fetchall()
    words = ", ".join(f"{name} from {source} to {target}" for name, source, target in rows)
    return Check("foreign keys", not rows, words or "none crosses the boundary")


def identity(pair: Pair, observed: Observed) -> Check:
    """Every table has a replica identity, by which an update or delete is replicated.

    A copy that is under way builds the keys of its target at its end: until then only its source has them.
    """
    pattern = replication.pattern_of(pair.service)
    is_copying = observed.sync is not None and observed.sync.phase in {SyncPhase.COPYING, SyncPhase.BUILDING_KEYS}
    sides = (pair.shared,) if is_copying else (pair.shared, pair.own)
    bare = {str(row[0]) for side in sides for row in side.execute(IDENTITY, [pattern]).fetchall()}
    words = f"without replica identity: {', '.join(sorted(bare))}" if bare else "every table has one"
    return Check("replica identity", not bare, words)


def sequences(pair: Pair, observed: Observed) -> Check:
    """Every sequence that numbers the tables' rows is relocated with them."""
    rows = pair.shared.execute(USED_SEQUENCES, {"p": replication.pattern_of(pair.service)}).fetchall()
    own_names = {str(row[0]) for row in pair.own.execute("SELECT relname FROM pg_class WHERE relkind = 'S'").fetchall()}
    unmoved = sorted(str(name) for name, moves in rows if not moves or name not in own_names)
    words = (
        f"would stay in the shared database, or are missing in the own one: {', '.join(unmoved)}"
        if unmoved
        else f"{len(rows)} are relocated"
    )
    return Check("sequences", not unmoved, words)


def following(pair: Pair, observed: Observed) -> Check:
    """The service's own database follows all of its tables."""
    sync = observed.sync
    if sync is None:
        return Check("synchronised", False, f"it does not follow: manage.py extraction {pair.service} sync")
    holds = sync.status is SyncStatus.RUNNING and sync.phase is SyncPhase.FOLLOWING
    forgotten = set(replication.tables_of(pair.shared, pair.service)) ^ replication.published(
        pair.shared, stages.forward_name(pair.service)
    )
    if holds and forgotten:
        return Check("synchronised", False, f"not followed: {', '.join(sorted(forgotten))}")
    return Check("synchronised", holds, f"{sync.status}, {sync.phase}, {sync.records_processed} rows copied")


def lag(pair: Pair, observed: Observed) -> Check:
    """The service's own database lags by at most MAX_LAG_SECONDS and MAX_LAG_BYTES."""
    slot = replication.slot(pair.shared, stages.forward_name(pair.service))
    if slot is None or not replication.is_subscribed(pair.own, stages.forward_name(pair.service)):
        return Check("lag", False, "nothing follows")
    try:
        seconds = replication.beat(pair.shared, pair.own, pair.service, seconds=MAX_LAG_SECONDS)
    except replication.TooSlow:
        return Check("lag", False, f"more than {MAX_LAG_SECONDS:g} s")
    return Check("lag", slot.lag_bytes <= MAX_LAG_BYTES, f"{seconds * 1000:.1f} ms, {slot.lag_bytes} bytes")


def way_back(pair: Pair, observed: Observed) -> Check:
    """The shared database follows all tables over the way back, with at most MAX_LAG_SECONDS of lag."""
    name, tables = stages.back_name(pair.service), set(replication.tables_of(pair.own, pair.service))
    if forgotten := tables ^ replication.published(pair.own, name):
        return Check("way back", False, f"not followed: {', '.join(sorted(forgotten))}")
    if not replication.is_subscribed(pair.shared, name):
        return Check("way back", False, "the shared database does not follow")
    try:
        seconds = replication.beat(pair.own, pair.shared, pair.service, seconds=MAX_LAG_SECONDS)
    except replication.TooSlow:
        return Check("way back", False, f"more than {MAX_LAG_SECONDS:g} s behind")
    return Check("way back", True, f"{seconds * 1000:.1f} ms behind")


def verified(pair: Pair, observed: Observed) -> Check:
    """Every row was compared, none differs, and changed rows are being compared."""
    verification = observed.verification
    if verification is None:
        return Check("verified", False, f"never: manage.py extraction {pair.service} verify")
    if not stages.is_verified(verification):
        words = f"{verification.status}, {verification.rows_compared} rows compared, {verification.differences} differ"
        return Check("verified", False, f"{words} {verification.error}".strip())
    if verification.backlog > MAX_BACKLOG:
        return Check(
            "verified", False, f"{verification.backlog} changed rows are yet to be compared (at most {MAX_BACKLOG})"
        )
    if verification.checked_at is None or timezone.now() - verification.checked_at > FRESH:
        return Check("verified", False, "changed rows are not being compared any more: is a worker running?")
    slot = replication.slot(pair.shared, f"lc_{pair.service}_verify")
    if slot is None or slot.lag_bytes > MAX_LAG_BYTES:
        words = "changes are not recorded" if slot is None else f"{slot.lag_bytes} bytes of log are yet to be read"
        return Check("verified", False, words)
    return Check(
        "verified", True, f"{verification.rows_compared} rows are the same, {verification.backlog} to be compared"
    )


def slots(pair: Pair, observed: Observed) -> Check:
    """Both servers have a free slot, and a bound on the log that a slot may keep."""
    problems = []
    for connection in (pair.shared, pair.own):
        row = connection.execute(
            "SELECT current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),"
            " current_setting('max_slot_wal_keep_size') = '-1',"
            " (SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint FROM pg_replication_slots)"
        ).fetchone()
        free, is_unbounded, kept_bytes = row or (0, True, 0)
        if free < 1:
            problems.append("no replication slot is free (max_replication_slots)")
        if is_unbounded:
            problems.append("a slot may fill the disk: set max_slot_wal_keep_size")
        if kept_bytes > settings.SYNC_SLOT_MAX_BYTES:
            problems.append(f"a slot keeps {kept_bytes} bytes of log already")
    return Check("slot budget", not problems, "; ".join(sorted(set(problems))) or "room on both servers")


def long_transactions(pair: Pair, observed: Observed) -> Check:
    """No transaction is open that the closing would have to wait for."""
    primary = pair.side(observed.primary or SHARED)
    rows = primary.execute(LONG, [LONG_TRANSACTION_SECONDS, ["lc_replicator", "lc_control"]]).fetchall()
    prepared = primary.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()").fetchall()
    words = [f"pid {pid} ({user}, {name or 'no name'}): {seconds} s" for pid, user, name, seconds in rows]
    words += [f"prepared transaction {gid}" for (gid,) in prepared]
    return Check("long transactions", not words, ", ".join(words) or "none")


def alone(pair: Pair, observed: Observed) -> Check:
    """No other service is between two primaries."""
    rows = pair.shared.execute(
        "SELECT service FROM extraction.fence WHERE closed > 0 AND moving AND service <> %s", [pair.service]
    ).fetchall()
    cutting = [str(name) for (name,) in rows if _is_between(str(name))]
    return Check("another extraction", not cutting, f"{', '.join(cutting)} is under way" if cutting else "none")


def _is_between(service: str) -> bool:
    with stages.pair(service) as pair:
        return not fences.is_writable(pair.own, service) and not fences.is_writable(pair.shared, service)


SHAPE: tuple[Callable[[Pair, Observed], Check], ...] = (
    guard,
    roles,
    migrations,
    foreign_keys,
    identity,
    sequences,
    slots,
)
QUIET: tuple[Callable[[Pair, Observed], Check], ...] = (slots, long_transactions, alone)
