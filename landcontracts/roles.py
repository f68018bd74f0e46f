"""Reads a person's roles, for calls in which a lifted-out service claims roles that only an administrator grants."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from apps.authentication.interface import AUTHENTICATION
from apps.core.interface.context import STRANGER, CallContext
from apps.core.seam.client.registry import call


def of(person: UUID, ctx: CallContext) -> Iterable[str]:
    """The roles of an active person. Raises: what a call raises."""
    return [
        role.value
        for card in call(AUTHENTICATION).cards(ctx=ctx.as_actor(STRANGER), user_ids=(person,))
        for role in card.roles
    ]
