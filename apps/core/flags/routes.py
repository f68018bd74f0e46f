"""Which services a call reaches away from home: decided once, at the edge, per actor, and carried in the context."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings

from apps.core.flags import snapshot
from apps.core.interface.context import SYSTEM, CallContext, new_context

MAX_KEPT = 10_000


class Route(NamedTuple):
    """The services that an actor's calls reach away from home, and those whose other side is asked as well."""

    away: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()


NOWHERE = Route()


class _Kept:
    """Decisions of one snapshot, so that a busy actor's is a look-up. A new snapshot begins anew."""

    flags: dict[str, snapshot.FlagState] | None = None
    decisions: dict[str, Route]


def decide(actor: str) -> Route:
    """The route of an actor: a user's id, the normalised e-mail before log-in, or what system work is about."""
    if not settings.SEAM_AWAY:
        return NOWHERE
    flags = snapshot.current()
    if flags is not _Kept.flags or len(_Kept.decisions) > MAX_KEPT:
        _Kept.decisions = {}
        _Kept.flags = flags
    decisions = _Kept.decisions
    found = decisions.get(actor)
    if found is None:
        found = Route(_covered("remote", actor), _covered("shadow", actor))
        decisions[actor] = found
    return found


def _covered(what: str, actor: str) -> tuple[str, ...]:
    # A service with data of its own has one side, to which nothing can be compared and from which nobody is routed away.
    choosable = (service for service in settings.SEAM_AWAY if service not in settings.SEAM_OWN_DATA)
    return tuple(service for service in choosable if snapshot.is_on(f"{service}_{what}", actor))


def system_context(about: str, **given: Any) -> CallContext:
    """A context for work that no person asked for, routed by what it is about: an aggregate's id, or a job's name."""
    route = decide(about)
    return new_context(**{"actor": SYSTEM, **given}, away=route.away, shadow=route.shadow, unit=about)
