"""Refresh token rotation (RFC 9700, section 4.14.2), inside the command's transaction.

A token is used once. A second use revokes its whole family, because one of its two holders has stolen it. As an
exception, the token just replaced gives the same successor for ten seconds, because an answer can get lost on the way.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db.models import F
from django.db.models.functions import Now

from apps.authentication.interface import Refusal, Refused
from apps.authentication.logic import tokens
from apps.authentication.models import RefreshToken, User
from apps.core.ids import new_id

GRACE = timedelta(seconds=10)


def start_family(user: User, now: datetime) -> uuid.UUID:
    """Create the first token of a new family; returns its id."""
    token = RefreshToken(family=new_id(), user=user, expires_at=now + tokens.refresh_lifetime())
    token.save()
    return token.id


def rotate(token_id: uuid.UUID | None, now: datetime) -> tuple[User, uuid.UUID] | Refused:
    """The owner and the id of the next token, or why there is none.

    The family is locked by its first row, so that concurrent uses are serialised.
    """
    if token_id is None or (family := _family_of(token_id)) is None:
        return Refused(reason=Refusal.TOKEN_INVALID)
    # First the person's row, which a block locks, then the family: a block or a log-out comes before or after.
    list(User.objects.select_for_update(of=("self",)).filter(refreshtoken__id=token_id))
    # Lock and read are two statements: the second one's snapshot has the changes committed while the first waited.
    _lock(family)
    members = list(RefreshToken.objects.select_related("user").filter(family=family))
    token = next(member for member in members if member.id == token_id)
    user = token.user
    if token.revoked_at is not None or token.expires_at <= now or not user.is_active:
        return Refused(reason=Refusal.TOKEN_INVALID)
    if token.replaced_at is None:
        return user, _replace(token, now)
    successor = next((member for member in members if member.id == token.successor_id), None)
    if successor is not None and successor.replaced_at is None and now - token.replaced_at <= GRACE:
        return user, successor.id
    revoke_family(family, now)
    _revoke_access(user)
    return Refused(reason=Refusal.TOKEN_REUSED)


def _replace(token: RefreshToken, now: datetime) -> uuid.UUID:
    successor = RefreshToken(family=token.family, user_id=token.user_id, expires_at=now + tokens.refresh_lifetime())
    successor.save()
    token.replaced_at = now
    token.successor = successor
    token.save(update_fields=["replaced_at", "successor"])
    return successor.id


def _lock(family: uuid.UUID) -> None:
    """Wait for other uses of the family to end; the lock is held until this transaction ends."""
    RefreshToken.objects.select_for_update().filter(family=family).order_by("id").first()


def _family_of(token_id: uuid.UUID) -> uuid.UUID | None:
    return RefreshToken.objects.filter(id=token_id).values_list("family", flat=True).first()


def revoke_family_of(token_id: uuid.UUID, now: datetime) -> None:
    """Revoke all tokens that came from the same log-in."""
    family = _family_of(token_id)
    if family is not None:
        revoke_family(family, now)


def _revoke_access(user: User) -> None:
    """Refuse the person's access tokens of before, of which the thief may have one; other log-ins refresh theirs."""
    User.objects.filter(id=user.id).update(token_version=F("token_version") + 1, tokens_revoked_at=Now())


def revoke_family(family: uuid.UUID, now: datetime) -> None:
    """Revoke all tokens of a family."""
    _lock(family)
    RefreshToken.objects.filter(family=family, revoked_at=None).update(revoked_at=now)


def forget(now: datetime) -> int:
    """Delete tokens that expired a day ago; returns how many."""
    return RefreshToken.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()[0]


def revoke_all(user_id: uuid.UUID, now: datetime) -> None:
    """Revoke all refresh tokens of a person."""
    RefreshToken.objects.filter(user_id=user_id, revoked_at=None).update(revoked_at=now)
