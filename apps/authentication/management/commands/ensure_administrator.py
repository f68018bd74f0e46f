"""`manage.py ensure_administrator E-MAIL`: make sure that this person is an administrator and can sign in."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.authentication.interface import Role
from apps.authentication.logic import administrators
from apps.authentication.models import User


class Command(BaseCommand):
    """Takes the password from ADMINISTRATOR_PASSWORD, so that no list of processes shows it.

    An account that exists gets the role and is unblocked; its password stays unless --set-password is given.
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
        roles = [Role(role) for role in user.roles]
        changed = []
        if Role.ADMINISTRATOR not in roles:
            changed.append("made an administrator")
        if not user.is_active:
            changed.append("unblocked")
        if set_password and not user.check_password(str(password)):
            user.set_password(password)
            changed.append("given the password")
        administrators.assign(user, [*roles, Role.ADMINISTRATOR])
        user.is_active = True
        if changed:
            user.save()
            self.stdout.write(f"{email} was {', '.join(changed)}")
