"""Which services a call reaches away from home: decided once, at the edge, per actor, and carried in the context."""

from __future__ import annotations

from django.conf import settings

from apps.core.flags import snapshot

MAX_KEPT = 10_000


class _Kept:
    """Decisions of one snapshot, so that a busy actor's is a look-up. A new snapshot begins anew."""

    flags: dict[str, snapshot.FlagState] | None = None
    decisions: dict[str, tuple[str, ...]]


def decide(actor: str) -> tuple[str, ...]:
    """The services whose `<service>_remote` flag is on for an actor: a user's id, or a normalised e-mail before log-in."""
    if not settings.SEAM_AWAY:
        return ()
    flags = snapshot.current()
    if flags is not _Kept.flags or len(_Kept.decisions) > MAX_KEPT:
        _Kept.decisions = {}
        _Kept.flags = flags
    decisions = _Kept.decisions
    found = decisions.get(actor)
    if found is None:
        found = tuple(service for service in settings.SEAM_AWAY if snapshot.is_on(f"{service}_remote", actor))
        decisions[actor] = found
    return found


def decide_for_system(aggregate: str) -> tuple[str, ...]:
    """The same for work that no person asked for, decided by the aggregate's id."""
    return decide(aggregate)
