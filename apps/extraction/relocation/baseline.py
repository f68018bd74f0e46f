"""The contents of the old tables when replication ends: noted at the commit, and compared until they are dropped."""

from __future__ import annotations

from apps.core.postgres import checksums, replication
from apps.core.postgres.connections import Connection

# The name of these contents among the facts of a commit's record.
FACT = "old_home"


def of(shared: Connection, service: str) -> dict[str, list[int | str]]:
    """By table: the number of its rows, and the sum of their hashes."""
    tables = replication.tables_of(shared, service)
    return {name: [content.rows, content.sum] for name, content in checksums.contents(shared, tables).items()}
