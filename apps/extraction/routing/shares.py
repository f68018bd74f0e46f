"""Who is sent where: the two flags of each service, and how they are turned.

`<service>_remote` sends a share of people's calls to the lifted-out process, `<service>_shadow` has a share of people's queries asked
of the other side as well.
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
def by(who: str, *, where: str, reason: str = "") -> Iterator[None]:
    """Changes of flags in this block are recorded as somebody's."""
    with pghistory.context(who=who, where=where, reason=reason):
        yield


def flag(service: str, kind: str) -> Flag:
    """One of a service's two flags. Raises: UnknownService."""
    if service not in topology.entries():
        raise UnknownService(service)
    found: Flag = Flag.objects.get_or_create(name=f"{service}_{kind}")[0]
    return found


def _held(service: str, kind: str) -> Flag:
    """The flag as it is, and nobody else turns it before this transaction is over."""
    held: Flag = Flag.objects.select_for_update().get(pk=flag(service, kind).pk)
    return held


@transaction.atomic
def set_share(service: str, kind: str, percent: Decimal) -> Flag:
    """Turn a flag on for a share of people, 0 to 100; in effect in every process within a second.

    Raises: UnknownService; ValidationError for a share that is none.
    """
    changed = _held(service, kind)
    changed.percent, changed.everyone = percent, None
    changed.full_clean()
    changed.save()
    return changed


@transaction.atomic
def switch_off(service: str, kind: str) -> Flag:
    """Turn a flag off for everybody, absolutely; its share is kept for later. Raises: UnknownService."""
    changed = _held(service, kind)
    changed.everyone = False
    changed.save()
    return changed
