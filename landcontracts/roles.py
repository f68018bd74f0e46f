"""Reads what authentication knows of a person's rights, for the edge and the seam of every process.

The roles are for calls in which a lifted-out service claims some that only an administrator grants; the revoked tokens
for the edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from apps.authentication.interface import AUTHENTICATION, NO_ID, REVOKED_AT_A_TIME, RevokedTokens
from apps.core.flags import routes
from apps.core.interface.context import STRANGER, CallContext, new_context
from apps.core.seam.client.registry import call

# A transaction that revokes may end so long after its time was noted; the database ends a longer one (`commands`).
OVERLAP = timedelta(seconds=15)
KEPT = timedelta(minutes=10)  # longer than a token lives


def of(person: UUID, ctx: CallContext) -> Iterable[str]:
    """The roles of an active person. Raises: what a call raises."""
    return [
        role.value
        for card in call(AUTHENTICATION).cards(ctx=ctx.as_actor(STRANGER), user_ids=(person,))
        for role in card.roles
    ]


class Revoked:
    """The least accepted version of the tokens of people whose earlier ones are refused, kept from reading to reading."""

    def __init__(self) -> None:
        self._known: dict[UUID, RevokedTokens] = {}
        self._newest: datetime | None = None

    def __call__(self) -> Mapping[UUID, int]:
        """Read what is new. Raises: what a call raises."""
        # Neither observed nor compared: it is no person's call, and its like twice a second would dilute what is.
        ctx = new_context(away=routes.decide("revoked tokens").away)
        after, after_id = None if self._newest is None else self._newest - OVERLAP, NO_ID
        while True:
            page = call(AUTHENTICATION).revoked_tokens(ctx=ctx, after=after, after_id=after_id)
            for item in page:
                known = self._known.get(item.user_id)
                if known is None or known.token_version < item.token_version:
                    self._known[item.user_id] = item
            if page:
                after, after_id = page[-1].revoked_at, page[-1].user_id
                self._newest = max(after, self._newest or after)
            if len(page) < REVOKED_AT_A_TIME:
                break
        if self._newest is not None:
            old = self._newest - KEPT
            self._known = {person: item for person, item in self._known.items() if item.revoked_at > old}
        return {person: item.token_version for person, item in self._known.items()}


revoked = Revoked()
