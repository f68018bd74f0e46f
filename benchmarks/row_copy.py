"""Copying a service's rows to another server, against the usual ways; and comparing rows, against copying them."""

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
    """One side did not copy every row, so that its time means nothing."""


class Spent(NamedTuple):
    """The seconds of each side in one round."""

    ours: float
    tidying: float
    verifying: float
    bare: float
    dump: float
    subscription: float


def rates(row_bytes: float) -> list[Figure]:
    """Copy and compare the tables that `rows.fill` has filled. Their copies exist before, and are left empty."""
    with following.connect(SERVICE) as ends:
        number = rows.count(ends.source)
        rounds = [_round(ends, turn, number) for turn in range(ROUNDS)]
        rows.empty(ends.target)
    bare, dump, subscription, ours, tidied, verified = (
        f"{number / median(column):,.0f} rows/s"
        for column in zip(
            *(
                (times.bare, times.dump, times.subscription, times.ours, times.ours + times.tidying, times.verifying)
                for times in rounds
            ),
            strict=True,
        )
    )
    what = f"{number:,} rows of {row_bytes:.0f} bytes in the {len(TABLES)} tables of {SERVICE}, server to server"
    how = f"ours with {settings.SYNC_JOBS} jobs, dropping and building keys included"
    return [
        _figure(
            "copy_rate_over_bare",
            [times.bare / times.ours for times in rounds],
            1.3,
            f"{what}: {how}, {ours}; COPY binary piped through psycopg into tables with their keys {bare}. With VACUUM "
            f"ANALYZE and CHECKPOINT, which the others leave to be done, ours is {tidied}, "
            f"{median(times.bare / (times.ours + times.tidying) for times in rounds):.2f} times the bare rate",
        ),
        _figure(
            "copy_rate_over_dump",
            [times.dump / times.ours for times in rounds],
            1,
            f"the same rows: {ours}; pg_dump --data-only | psql into tables with their keys {dump}",
        ),
        _figure(
            "copy_rate_over_subscription",
            [times.subscription / times.ours for times in rounds],
            1,
            f"the same rows: {ours}; CREATE SUBSCRIPTION with its own copy into tables with their keys, until every table "
            f"is ready, {subscription}",
        ),
        _figure(
            "verify_rate_over_copy",
            [times.ours / times.verifying for times in rounds],
            1.8,
            f"the same rows, checksums of ranges of keys on both sides {verified}; {how}, {ours}",
        ),
    ]


def _figure(name: str, ratios: list[float], goal: float, against: str) -> Figure:
    return Figure(name=name, value=median(ratios), goal=goal, unit="times the rate", against=against, least=True)


def _round(ends: Ends, turn: int, number: int) -> Spent:
    """Run all sides once, in reverse order each second time."""
    sides: dict[str, Side] = {"ours": _ours, "bare": _bare, "dump": _dump, "subscription": _subscription}
    spent: dict[str, float] = {}
    for name in reversed(sides) if turn % 2 else sides:
        rows.empty(ends.target)
        for connection in (ends.source, ends.target):
            connection.execute("CHECKPOINT")
        spent[name] = _seconds(sides[name], ends)
        if (arrived := rows.count(ends.target)) != number:
            raise CopyFailed(f"{name}: {arrived} of {number} rows")
        if name == "ours":
            # In the order of a relocation: comparing comes after these.
            spent["tidying"] = _seconds(_tidy, ends)
            spent["verifying"] = _seconds(_verify, ends)
    return Spent(**spent)


def _seconds(side: Side, ends: Ends) -> float:
    started = time.perf_counter()
    side(ends)
    return time.perf_counter() - started


def _ours(ends: Ends) -> None:
    """The copy of `datasync`, without its progress record."""
    chosen = tables.describe_all(ends.source, SERVICE)
    row_copy.empty(ends.target, SERVICE, chosen, by="bench")
    with row_copy.snapshot(SHARED) as at:
        row_copy.copy(
            SHARED, SERVICE, chosen, at=at, jobs=settings.SYNC_JOBS, report=lambda _: None, wanted=lambda: True
        )
        row_copy.build_keys(ends.target)


def _tidy(ends: Ends) -> None:
    row_copy.tidy(ends.target, tables.describe_all(ends.source, SERVICE))


def _verify(ends: Ends) -> None:
    both = Both(ends.source, ends.target)
    for table in tables.describe_all(ends.source, SERVICE):
        for within in comparison.ranges(ends.source, table, None):
            ours, theirs = comparison.checksums(both, table, within)
            if ours != theirs:
                raise CopyFailed(f"{table.name} is not the same on both sides")


def _bare(ends: Ends) -> None:
    """psycopg's own example of copying from one server to another, table by table."""
    with connections.control(SHARED) as source, connections.control(SERVICE) as target:
        for table in map(rows.named, TABLES):
            reading = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(table)
            writing = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(table)
            with source.cursor().copy(reading) as blocks, target.cursor().copy(writing) as sink:
                for block in blocks:
                    sink.write(block)


def _dump(ends: Ends) -> None:
    """pg_dump piped into psql. Passwords go by the environment: any local user can read a command line."""
    table_options = [f"--table=public.{table}" for table in TABLES]
    source, target = _bare_url(SHARED), _bare_url(SERVICE)
    with subprocess.Popen(
        [pg_dump.find("pg_dump"), "--data-only", *table_options, source.url],
        env=source.environment,
        stdout=subprocess.PIPE,
    ) as dump:
        psql = subprocess.run(
            [pg_dump.find("psql"), "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--output=/dev/null", target.url],
            env=target.environment,
            stdin=dump.stdout,
            check=False,
        )
    if dump.returncode or psql.returncode:
        raise CopyFailed(f"pg_dump ended with {dump.returncode}, psql with {psql.returncode}")


class _Address(NamedTuple):
    url: str
    environment: dict[str, str]


def _bare_url(alias: str) -> _Address:
    parts = urlsplit(settings.CONTROL_URLS[alias])
    url = urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port or 5432}"))
    return _Address(url, {**os.environ, "PGPASSWORD": parts.password or ""})


def _subscription(ends: Ends) -> None:
    """A subscription with its own copy, until every table has been copied and has caught up."""
    replication.publish(ends.source, LINE, TABLES)
    try:
        ends.target.execute(
            sql.SQL("CREATE SUBSCRIPTION {name} CONNECTION {publisher} PUBLICATION {name}").format(
                name=sql.Identifier(LINE), publisher=sql.Literal(connections.address(SHARED))
            )
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while ends.target.execute("SELECT 1 FROM pg_subscription_rel WHERE srsubstate <> 'r' LIMIT 1").fetchone():
            if time.monotonic() > deadline:
                raise CopyFailed(f"the subscription's tables are not ready after {PATIENCE_SECONDS} s")
            time.sleep(0.01)
    finally:
        replication.unsubscribe(ends.target, LINE)
        replication.drop_slot(ends.slots, LINE)
        replication.unpublish(ends.source, LINE)
