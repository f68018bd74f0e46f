"""Lock-out against password guessing: 5 failures in 15 minutes lock an address for 15 (NIST SP 800-63B, 5.2.2)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connections

from apps.authentication.models import LogInFailure
from apps.core.database.primaries import database_of
from apps.core.postgres import advisory_locks
from apps.core.postgres.advisory_locks import Space

LIMIT = 5
WINDOW = timedelta(minutes=15)


def seconds_left(email: str, now: datetime) -> int:
    """How many seconds the address stays locked; 0 when it is not locked."""
    recent = list(
        LogInFailure.objects.filter(email=email, at__gt=now - WINDOW)
        .order_by("-at")
        .values_list("at", flat=True)[:LIMIT]
    )
    if len(recent) < LIMIT:
        return 0
    return max(int((recent[-1] + WINDOW - now).total_seconds()), 1)


def seconds_left_exclusively(email: str, now: datetime) -> int:
    """`seconds_left` inside the command's transaction, excluding concurrent attempts at this address."""
    with connections[database_of("authentication")].cursor() as cursor:
        advisory_locks.acquire_until_commit(cursor, Space.WORK, f"log-in {email}")
    return seconds_left(email, now)


def record_failure(email: str, now: datetime) -> None:
    """Record a failure, and delete those of the address that no longer count."""
    LogInFailure.objects.filter(email=email, at__lte=now - WINDOW).delete()
    LogInFailure.objects.create(email=email)


def forget_old(now: datetime) -> int:
    """Delete failures that no longer count, of addresses no longer tried; returns how many."""
    return LogInFailure.objects.filter(at__lte=now - WINDOW).delete()[0]


def forget(email: str) -> None:
    """Reset the count after a success."""
    LogInFailure.objects.filter(email=email).delete()
