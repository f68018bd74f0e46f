"""Reads what authentication knows of a person's rights, for the edge and the seam of every process.

The roles are for calls in which a lifted-out service claims some that only an administrator grants; the revoked tokens
for the edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from apps.authentication.interface import AUTHENTICATION
from apps.core.flags import routes
from apps.core.interface.context import STRANGER, CallContext, new_context
from apps.core.seam.client.registry import call


def of(person: UUID, ctx: CallContext) -> Iterable[str]:
    """The roles of an active person. Raises: what a call raises."""
    return [
        role.value
        for card in call(AUTHENTICATION).cards(ctx=ctx.as_actor(STRANGER), user_ids=(person,))
        for role in card.roles
    ]


def revoked() -> Mapping[UUID, int]:
    """The least accepted version of the tokens of people whose earlier ones are refused. Raises: what a call raises."""
    # Neither observed nor compared: it is no person's call, and its like twice a second would dilute what is.
    ctx = new_context(away=routes.decide("revoked tokens").away)
    return {revoked.user_id: revoked.token_version for revoked in call(AUTHENTICATION).revoked_tokens(ctx=ctx)}
