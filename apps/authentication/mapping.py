"""Accounts as DTOs, here only; fields are listed one by one."""

from datetime import datetime
from uuid import UUID

from apps.authentication import interface, models
from apps.authentication.logic import directory


def user(row: models.User) -> interface.User:
    """An account as its owner and administrators see it."""
    return interface.User(
        id=row.id,
        email=row.email,
        full_name=row.full_name,
        phone=row.phone,
        roles=tuple(interface.Role(role) for role in row.roles),
        locale=row.locale,
        is_active=row.is_active,
        created_at=row.created_at,
    )


def revoked(user_id: UUID, token_version: int, revoked_at: datetime) -> interface.RevokedTokens:
    """A person whose earlier tokens are refused."""
    return interface.RevokedTokens(user_id=user_id, token_version=token_version, revoked_at=revoked_at)


def card(row: models.User | directory.Row) -> interface.PersonCard:
    """An account as other people see it."""
    return interface.PersonCard(
        id=row.id, full_name=row.full_name, roles=tuple(interface.Role(role) for role in row.roles)
    )


def recipient(row: models.User) -> interface.Recipient:
    """An account as a recipient of notifications."""
    return interface.Recipient(id=row.id, email=row.email, full_name=row.full_name, locale=row.locale)
