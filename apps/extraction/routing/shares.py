"""The two flags of each service, which route its calls, and how they are turned.

`<service>_remote` sends the calls of a share of people to the lifted-out process; `<service>_shadow` also asks the
other side a share of people's queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pghistory
from django.db import transaction

from apps.core import topology
from apps.core.flags.models import Flag

KINDS = ("remote", "shadow")


class UnknownService(Exception):
    """There is no service of this name."""


@contextmanager
def initiated_by(who: str, *, where: str, reason: str = "") -> Iterator[None]:
    """Record the changes of flags in this block with their initiator."""
    with pghistory.context(who=who, where=where, reason=reason):
        yield


def flag(service: str, kind: str) -> Flag:
    """One of a service's two flags. Raises: UnknownService."""
    if service not in topology.entries():
        raise UnknownService(service)
    row: Flag = Flag.objects.get_or_create(name=f"{service}_{kind}")[0]
    return row


def _locked(service: str, kind: str) -> Flag:
    """The flag's row, locked until this transaction ends."""
    row: Flag = Flag.objects.select_for_update().get(pk=flag(service, kind).pk)
    return row


@transaction.atomic
def set_share(service: str, kind: str, percent: Decimal) -> Flag:
    """Turn a flag on for a share of people, 0 to 100 percent; in effect in every process within a second.

    Raises: UnknownService; ValidationError for a share out of range.
    """
    row = _locked(service, kind)
    row.percent, row.everyone = percent, None
    row.full_clean()
    row.save()
    return row


@transaction.atomic
def switch_off(service: str, kind: str) -> Flag:
    """Turn a flag off for all people, listed ones included; its share is kept for later. Raises: UnknownService."""
    row = _locked(service, kind)
    row.everyone = False
    row.save()
    return row
