"""`manage.py ensure_administrator E-MAIL`: make sure that this person is an administrator and can sign in."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from apps.authentication.interface import Role
from apps.authentication.logic import administrators
from apps.authentication.models import LogInFailure, User
from apps.core.database.primaries import database_of


class Command(BaseCommand):
    """Takes the password from ADMINISTRATOR_PASSWORD, so that no list of processes shows it.

    An account that exists gets the role, is unblocked and no longer locked out. Its password stays unless --set-password
    is given.
    """

    help = __doc__ or ""
    requires_system_checks = ()  # `migrate` and `serve` run them; here they would load every page

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--set-password", action="store_true", help="of an account that exists, too")

    def handle(self, *args: Any, email: str, set_password: bool, **options: Any) -> None:
        password = os.environ.get("ADMINISTRATOR_PASSWORD")
        user = User.objects.filter(email=email.strip().lower()).first()
        if not password and (user is None or set_password):
            raise CommandError("set ADMINISTRATOR_PASSWORD")
        if user is None:
            User.objects.create_superuser(email, str(password), full_name="Администратор")
            self.stdout.write(f"created {email}")
            return
        changed = _repair(user.id, str(password) if set_password else None)
        if changed:
            self.stdout.write(f"{email} was {', '.join(changed)}")


def _repair(user_id: UUID, password: str | None) -> list[str]:
    """Give a person what an administrator needs, and forget failed log-ins; returns what was changed, in words."""
    changed = []
    with transaction.atomic(using=database_of("authentication")):
        administrators.take_turns()
        user = User.objects.select_for_update().get(id=user_id)
        roles = [Role(role) for role in user.roles]
        if Role.ADMINISTRATOR not in roles:
            administrators.assign(user, [*roles, Role.ADMINISTRATOR])
            changed.append("made an administrator")
        if not user.is_active:
            user.is_active = True
            changed.append("unblocked")
        if password is not None and not user.check_password(password):
            user.set_password(password)
            changed.append("given the password")
        if changed:
            user.save(update_fields=["roles", "is_superuser", "is_staff", "is_active", "password"])
        if LogInFailure.objects.filter(email=user.email).delete()[0]:
            changed.append("let sign in again")
    return changed
