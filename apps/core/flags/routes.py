"""Decides which services a call reaches remotely: once, at the edge, per actor; the context carries the decision."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings

from apps.core.flags import snapshot
from apps.core.interface.context import SYSTEM, CallContext, new_context

MAX_DECISIONS = 10_000


class Route(NamedTuple):
    """The services that an actor's calls reach remotely, and those whose other side gets the queries as well."""

    away: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()


ALL_LOCAL = Route()


class _Cache:
    """The decisions made on one snapshot, so that a busy actor's is a look-up. A new snapshot empties it."""

    flags: dict[str, snapshot.FlagState] | None = None
    decisions: dict[str, Route]


def decide(actor: str) -> Route:
    """The route of an actor: a user's id, the normalised e-mail before log-in, or the subject of system work."""
    if not settings.SEAM_AWAY:
        return ALL_LOCAL
    flags = snapshot.current()
    if flags is not _Cache.flags or len(_Cache.decisions) > MAX_DECISIONS:
        _Cache.decisions = {}
        _Cache.flags = flags
    decisions = _Cache.decisions
    route = decisions.get(actor)
    if route is None:
        route = Route(_covered("remote", actor), _covered("shadow", actor))
        decisions[actor] = route
    return route


def _covered(what: str, actor: str) -> tuple[str, ...]:
    # A service with data of its own has one side, so there is nothing to route or to compare.
    choosable = (service for service in settings.SEAM_AWAY if service not in settings.SEAM_OWN_DATA)
    return tuple(service for service in choosable if snapshot.is_on(f"{service}_{what}", actor))


def system_context(about: str, **fields: Any) -> CallContext:
    """A context for system work, routed by its subject: an aggregate's id, or a job's name."""
    route = decide(about)
    return new_context(**{"actor": SYSTEM, **fields}, away=route.away, shadow=route.shadow, unit=about)
