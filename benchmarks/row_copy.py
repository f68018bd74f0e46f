"""Bringing a service's rows to another server: our copy beside what people do without us, and our comparison beside our copy."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from psycopg import sql

from apps.core.database.primaries import SHARED
from apps.core.postgres import connections, pg_dump, replication
from apps.datasync.gateways import comparison, row_copy, tables
from apps.datasync.gateways import subscription as following
from apps.datasync.gateways.comparison import Both
from apps.datasync.gateways.subscription import Ends
from benchmarks import rows
from benchmarks.figures import Figure
from benchmarks.rows import SERVICE, TABLES

ROUNDS = 3
LINE = "lc_bench"
PATIENCE_SECONDS = 120
Side = Callable[[Ends], None]


class CopyFailed(Exception):
    """One side did not bring every row over, so that its time means nothing."""


class Spent(NamedTuple):
    """The seconds of each side in one round."""

    ours: float
    tidying: float
    verifying: float
    bare: float
    dump: float
    subscription: float


def rates(row_bytes: float) -> list[Figure]:
    """Copy and comparison of the tables that `rows.fill` has filled; their other side is there, and is left empty."""
    with following.connect(SERVICE) as found:
        number = rows.count(found.source)
        rounds = [_round(found, turn, number) for turn in range(ROUNDS)]
        rows.empty(found.target)
    bare, dump, subscription, ours, tidied, verified = (
        f"{number / median(column):,.0f} rows/s"
        for column in zip(
            *(
                (one.bare, one.dump, one.subscription, one.ours, one.ours + one.tidying, one.verifying)
                for one in rounds
            ),
            strict=True,
        )
    )
    what = f"{number:,} rows of {row_bytes:.0f} bytes in the {len(TABLES)} tables of {SERVICE}, server to server"
    how = f"ours with {settings.SYNC_JOBS} jobs, dropping and building keys included"
    return [
        _figure(
            "copy_rate_over_bare",
            [one.bare / one.ours for one in rounds],
            1.3,
            f"{what}: {how}, {ours}; COPY binary piped through psycopg into tables with their keys {bare}. With VACUUM "
            f"ANALYZE and CHECKPOINT, which the others leave to be done, ours is {tidied}, "
            f"{median(one.bare / (one.ours + one.tidying) for one in rounds):.2f} times the bare rate",
        ),
        _figure(
            "copy_rate_over_dump",
            [one.dump / one.ours for one in rounds],
            1,
            f"the same rows: {ours}; pg_dump --data-only | psql into tables with their keys {dump}",
        ),
        _figure(
            "copy_rate_over_subscription",
            [one.subscription / one.ours for one in rounds],
            1,
            f"the same rows: {ours}; CREATE SUBSCRIPTION with its own copy into tables with their keys, until every table "
            f"is ready, {subscription}",
        ),
        _figure(
            "verify_rate_over_copy",
            [one.ours / one.verifying for one in rounds],
            1.8,
            f"the same rows, checksums of ranges of keys on both sides {verified}; {how}, {ours}",
        ),
    ]


def _figure(name: str, ratios: list[float], goal: float, against: str) -> Figure:
    return Figure(name=name, value=median(ratios), goal=goal, unit="times the rate", against=against, least=True)


def _round(found: Ends, turn: int, number: int) -> Spent:
    """All sides once, in the other order each second time."""
    sides: dict[str, Side] = {"ours": _ours, "bare": _bare, "dump": _dump, "subscription": _subscription}
    spent: dict[str, float] = {}
    for name in reversed(sides) if turn % 2 else sides:
        rows.empty(found.target)
        for connection in (found.source, found.target):
            connection.execute("CHECKPOINT")
        spent[name] = _seconds(sides[name], found)
        if (arrived := rows.count(found.target)) != number:
            raise CopyFailed(f"{name}: {arrived} of {number} rows")
        if name == "ours":
            # As a move goes on: comparing comes after these.
            spent["tidying"] = _seconds(_tidy, found)
            spent["verifying"] = _seconds(_verify, found)
    return Spent(**spent)


def _seconds(side: Side, found: Ends) -> float:
    started = time.perf_counter()
    side(found)
    return time.perf_counter() - started


def _ours(found: Ends) -> None:
    """As `datasync` does it, without the record of how far it is."""
    chosen = tables.describe_all(found.source, SERVICE)
    row_copy.empty(found.target, SERVICE, chosen, by="bench")
    with row_copy.snapshot(SHARED) as at:
        row_copy.copy(
            SHARED, SERVICE, chosen, at=at, jobs=settings.SYNC_JOBS, report=lambda _: None, wanted=lambda: True
        )
        row_copy.build_keys(found.target)


def _tidy(found: Ends) -> None:
    row_copy.tidy(found.target, tables.describe_all(found.source, SERVICE))


def _verify(found: Ends) -> None:
    both = Both(found.source, found.target)
    for table in tables.describe_all(found.source, SERVICE):
        for within in comparison.ranges(found.source, table, None):
            ours, theirs = comparison.checksums(both, table, within)
            if ours != theirs:
                raise CopyFailed(f"{table.name} is not the same on both sides")


def _bare(found: Ends) -> None:
    """psycopg's own example of copying from one server to another, table by table."""
    with connections.control(SHARED) as source, connections.control(SERVICE) as target:
        for table in map(rows.named, TABLES):
            reading = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(table)
            writing = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(table)
            with source.cursor().copy(reading) as some, target.cursor().copy(writing) as sink:
                for block in some:
                    sink.write(block)


def _dump(found: Ends) -> None:
    """The tools' own way. Passwords go by the environment: a command line is everybody's to read."""
    named = [f"--table=public.{table}" for table in TABLES]
    source, target = _bare_url(SHARED), _bare_url(SERVICE)
    with subprocess.Popen(
        [pg_dump.find("pg_dump"), "--data-only", *named, source.url], env=source.environment, stdout=subprocess.PIPE
    ) as dump:
        done = subprocess.run(
            [pg_dump.find("psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--output=/dev/null", target.url],
            env=target.environment,
            stdin=dump.stdout,
            check=False,
        )
    if dump.returncode or done.returncode:
        raise CopyFailed(f"pg_dump ended with {dump.returncode}, psql with {done.returncode}")


class _Address(NamedTuple):
    url: str
    environment: dict[str, str]


def _bare_url(alias: str) -> _Address:
    parts = urlsplit(settings.CONTROL_URLS[alias])
    url = urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port or 5432}"))
    return _Address(url, {**os.environ, "PGPASSWORD": parts.password or ""})


def _subscription(found: Ends) -> None:
    """The server's own way, until every table has been copied and has caught up."""
    replication.publish(found.source, LINE, TABLES)
    try:
        found.target.execute(
            sql.SQL("CREATE SUBSCRIPTION {name} CONNECTION {publisher} PUBLICATION {name}").format(
                name=sql.Identifier(LINE), publisher=sql.Literal(connections.address(SHARED))
            )
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while found.target.execute("SELECT 1 FROM pg_subscription_rel WHERE srsubstate <> 'r' LIMIT 1").fetchone():
            if time.monotonic() > deadline:
                raise CopyFailed(f"the subscription's tables are not ready after {PATIENCE_SECONDS} s")
            time.sleep(0.01)
    finally:
        replication.unsubscribe(found.target, LINE)
        replication.drop_slot(found.slots, LINE)
        replication.unpublish(found.source, LINE)
