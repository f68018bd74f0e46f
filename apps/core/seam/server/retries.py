"""Database errors after which a command or query is repeated whole, by SQLSTATE (PostgreSQL manual, appendix A)."""

from __future__ import annotations

from django.db import Error as DatabaseError
from django.db import connections
from django.db.utils import InterfaceError, OperationalError

from apps.core.database import primaries
from apps.core.database.primaries import Primary
from apps.core.interface.context import CallContext

RETRYABLE = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available: lock_timeout
        "57014",  # query_canceled: statement_timeout
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "57P05",  # idle_session_timeout
    }
)


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of a Django database error, from the psycopg error beneath it."""
    return getattr(error.__cause__, "sqlstate", None)


def is_retryable(error: DatabaseError) -> bool:
    """Whether the same command, repeated under its key, may succeed.

    A broken connection has no SQLSTATE; if its commit went through, the key makes the repetition replay the answer.
    """
    state = sqlstate(error)
    if state is None:
        return isinstance(error, OperationalError | InterfaceError)
    return state in RETRYABLE or state.startswith("08")


def may_retry(error: DatabaseError, service: str, primary: Primary, ctx: CallContext, *, is_last: bool) -> bool:
    """Whether a command or query that ended with this error may be repeated as a whole; returns when that makes sense.

    After `permission denied` the data may be in a relocation, whose end is waited for; on the last attempt it is a real
    error.
    """
    if sqlstate(error) in primaries.REFUSALS:
        patience_seconds = max(ctx.remaining_ms(), 0) / 1000
        return not is_last and primaries.refresh(service, primary, patience_seconds=patience_seconds)
    if not is_retryable(error):
        return False
    discard_broken(primary.alias)
    return True


def discard_broken(alias: str) -> None:
    """Close a connection that the server ended, so that the next statement opens another."""
    connection = connections[alias]
    if not connection.in_atomic_block:
        connection.close()
