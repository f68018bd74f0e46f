"""Lock-out against password guessing, by address and source (ADR 0029; NIST SP 800-63B, 5.2.2).

A source is the client's network, or a device from which the person has logged in before. Five failures of one source
lock the address for that source, for a minute, and each further one for twice as long, up to an hour. Twenty of a wider
network lock it for all of that: one customer may have as many networks of IPv6 as a /48 holds (RFC 6177). Guesses from
many networks together lock it for all; a known device is never locked by what others do.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connections

from apps.authentication.models import LogInFailure
from apps.core.database.primaries import database_of
from apps.core.postgres import advisory_locks
from apps.core.postgres.advisory_locks import Space

WINDOW = timedelta(hours=24)
FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
LIMIT = 5
DEVICE_LIMIT = 20  # of a known device, whose owner mistypes
WIDER_LIMIT, WIDER_PREFIX = 20, 48
# Of all networks together: guesses by many machines. One wider network counts for a tenth of them at most.
OVERALL_LIMIT, OVERALL_SHARE = 100, 10
OVERALL_WINDOW = timedelta(hours=1)
DEVICE = "device:"


class Source(NamedTuple):
    """Where an attempt comes from, as it is stored with a failure, and how many failures it may have."""

    name: str
    limit: int

    @property
    def is_device(self) -> bool:
        """Whether it is a device from which the person has logged in before."""
        return self.name.startswith(DEVICE)


def source_of(network: str, device: UUID | None) -> Source:
    """The source of an attempt."""
    return Source(f"{DEVICE}{device}", DEVICE_LIMIT) if device else Source(network, LIMIT)


def seconds_left(email: str, source: Source, now: datetime) -> int:
    """How many seconds the address stays locked for the source; 0 when it is not locked."""
    left = _left_for(email, source, now)
    if not source.is_device:
        left = max(left, _left_for_many(email, source, now))
    return max(int(left.total_seconds()), 1) if left > timedelta() else 0


def _left_for(email: str, source: Source, now: datetime) -> timedelta:
    failures = LogInFailure.objects.filter(email=email, source=source.name, at__gt=now - WINDOW)
    moments = list(failures.order_by("-at").values_list("at", flat=True)[: source.limit + 10])
    if len(moments) < source.limit:
        return timedelta()
    wait = min(FIRST_WAIT * 2 ** (len(moments) - source.limit), LONGEST_WAIT)
    left: timedelta = moments[0] + wait - now
    return left


def _left_for_many(email: str, source: Source, now: datetime) -> timedelta:
    """How long the failures of the source's wider network, and of all networks, keep the address locked."""
    failures = LogInFailure.objects.filter(email=email, at__gt=now - OVERALL_WINDOW).exclude(source__startswith=DEVICE)
    moments: dict[str, list[datetime]] = defaultdict(list)
    for at, name in failures.order_by("-at").values_list("at", "source"):
        moments[_wider(name)].append(at)
    counted = sorted((at for of_one in moments.values() for at in of_one[:OVERALL_SHARE]), reverse=True)
    locked_since = (
        moments[_wider(source.name)][WIDER_LIMIT - 1 : WIDER_LIMIT] + counted[OVERALL_LIMIT - 1 : OVERALL_LIMIT]
    )
    return max(locked_since) + OVERALL_WINDOW - now if locked_since else timedelta()


def _wider(name: str) -> str:
    """The network that a source belongs to: the /48 of IPv6, for others the source itself."""
    try:
        network = ipaddress.ip_network(name)
    except ValueError:
        return name
    return str(network.supernet(new_prefix=WIDER_PREFIX)) if network.version == 6 else name


def seconds_left_exclusively(email: str, source: Source, now: datetime) -> int:
    """`seconds_left` inside the command's transaction, excluding concurrent attempts at this address."""
    with connections[database_of("authentication")].cursor() as cursor:
        advisory_locks.acquire_until_commit(cursor, Space.WORK, f"log-in {email}")
    return seconds_left(email, source, now)


def record_failure(email: str, source: Source, now: datetime) -> None:
    """Record a failure, and delete those of the address that no longer count."""
    LogInFailure.objects.filter(email=email, at__lte=now - WINDOW).delete()
    LogInFailure.objects.create(email=email, source=source.name)


def forget_old(now: datetime) -> int:
    """Delete failures that no longer count, of addresses no longer tried; returns how many."""
    return LogInFailure.objects.filter(at__lte=now - WINDOW).delete()[0]


def forget(email: str, source: Source) -> None:
    """Reset the count of a source after its success."""
    LogInFailure.objects.filter(email=email, source=source.name).delete()
