"""`manage.py ensure_administrator E-MAIL`: make sure that this person is an administrator and can sign in."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.authentication.interface import Email, Password, Role, WeakPassword
from apps.authentication.logic import administrators, passwords
from apps.authentication.models import LogInFailure, User

NAME = "Администратор"


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
        if user is None or set_password:
            _check(email, str(password))
        if user is None:
            User.objects.create_superuser(email, str(password), full_name=NAME)
            self.stdout.write(f"created {email}")
            return
        changed = _repair(user, str(password) if set_password else None)
        words = f"was {', '.join(changed)}" if changed else "is an administrator already"
        self.stdout.write(f"{email} {words}{'' if set_password else '; the password is as it was'}")


def _check(email: str, password: str) -> None:
    """Refuse what log-in would never accept, or anybody guess. Raises: CommandError."""
    try:
        msgspec.convert(email.strip().lower(), Email)
    except msgspec.ValidationError:
        raise CommandError(f"{email} is no e-mail address") from None
    try:
        msgspec.convert(password, Password)
        passwords.validate(password, email=email, full_name=NAME)
    except msgspec.ValidationError as error:
        raise CommandError(f"ADMINISTRATOR_PASSWORD: {error}") from None
    except WeakPassword as error:
        raise CommandError(f"ADMINISTRATOR_PASSWORD: {' '.join(error.problems)}") from None


def _repair(user: User, password: str | None) -> list[str]:
    """Give a person what an administrator needs, and forget failed log-ins; returns what was changed, in words."""
    changed, fields = [], set()
    if Role.ADMINISTRATOR not in (roles := [Role(role) for role in user.roles]):
        administrators.assign(user, [*roles, Role.ADMINISTRATOR])
        changed.append("made an administrator")
        fields |= {"roles", "is_superuser", "is_staff"}
    if not user.is_active:
        user.is_active = True
        changed.append("unblocked")
        fields.add("is_active")
    if password is not None and not user.check_password(password):
        user.set_password(password)
        changed.append("given the password")
        fields.add("password")
    if fields:
        user.save(update_fields=fields)  # what others change meanwhile stays
    if LogInFailure.objects.filter(email=user.email).delete()[0]:
        changed.append("let sign in again")
    return changed
