"""Which services a call reaches away from home: decided once, at the edge, per actor, and carried in the context."""

from __future__ import annotations

from django.conf import settings

from apps.core.flags import snapshot


def decide(actor: str) -> tuple[str, ...]:
    """The services whose `<service>_remote` flag is on for an actor: a user's id, or a normalised e-mail before log-in."""
    addresses = settings.SEAM_AWAY
    if not addresses:
        return ()
    return tuple(service for service in addresses if snapshot.is_on(f"{service}_remote", actor))


def decide_for_system(aggregate: str) -> tuple[str, ...]:
    """The same for work that no person asked for, decided by the aggregate's id."""
    return decide(aggregate)
