"""Slowing down password guessing, by address: five failures in 15 minutes close it for 15 minutes (NIST SP 800-63B, 5.2.2)."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.authentication.models import LogInFailure

LIMIT = 5
WINDOW = timedelta(minutes=15)


def seconds_left(email: str, now: datetime) -> int:
    """How long the address stays closed; 0 when it is open."""
    recent = list(
        LogInFailure.objects.filter(email=email, at__gt=now - WINDOW)
        .order_by("-at")
        .values_list("at", flat=True)[:LIMIT]
    )
    if len(recent) < LIMIT:
        return 0
    return max(int((recent[-1] + WINDOW - now).total_seconds()), 1)


def record_failure(email: str, now: datetime) -> None:
    """Count a failure, and forget those that no longer matter."""
    LogInFailure.objects.filter(email=email, at__lte=now - WINDOW).delete()
    LogInFailure.objects.create(email=email)


def forget(email: str) -> None:
    """A success ends the count."""
    LogInFailure.objects.filter(email=email).delete()
