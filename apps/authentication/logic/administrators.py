"""The administrator's role and Django's flags are one truth, and there is always somebody who has them."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connections

from apps.authentication.interface import LastAdministrator, Role, Roles
from apps.authentication.models import User
from apps.core.database.primaries import database_of
from apps.core.interface.context import Actor
from apps.core.interface.errors import Forbidden
from apps.core.postgres import advisory_locks
from apps.core.postgres.advisory_locks import Space


def assign(user: User, roles: Iterable[Role]) -> None:
    """Give a person exactly these roles; the administrator's opens the admin, and its loss closes it. Not saved."""
    was_administrator = user.is_superuser
    user.roles = [role.value for role in dict.fromkeys(roles)]
    user.is_superuser = Role.ADMINISTRATOR in user.roles
    if user.is_superuser or was_administrator:
        user.is_staff = user.is_superuser


def merged(present: Roles, *, seen: Roles | None, wanted: Roles) -> Roles:
    """The wanted roles; of a person whose roles were read before, the present ones with what was to change since then."""
    if seen is None:
        return wanted
    kept = tuple(role for role in present if role in wanted or role not in seen)
    return (*kept, *(role for role in wanted if role not in seen and role not in kept))


def _take_turns() -> None:
    """Until the end of the transaction, no other one changes who is an administrator."""
    with connections[database_of("authentication")].cursor() as cursor:
        advisory_locks.acquire_until_commit(cursor, Space.WORK, "administrators")


def claims(actor: Actor) -> bool:
    """Whether the actor comes as the system or as an administrator."""
    return actor.has("system", Role.ADMINISTRATOR)


def is_one(actor: Actor) -> bool:
    """Whether the actor is the system or an administrator at this moment, by the row and not by the token.

    In a transaction; until its end no other one changes who is an administrator.
    """
    if not claims(actor):
        return False
    _take_turns()
    return actor.has("system") or User.objects.filter(id=actor.person, is_superuser=True, is_active=True).exists()


def require(actor: Actor) -> None:
    """Refuse who is no administrator. Raises: Forbidden."""
    if not is_one(actor):
        raise Forbidden


def require_another(user: User) -> None:
    """Refuse to lose the last active administrator. Raises: LastAdministrator."""
    if not (user.is_superuser and user.is_active):
        return
    if not User.objects.filter(is_superuser=True, is_active=True).exclude(id=user.id).exists():
        raise LastAdministrator
