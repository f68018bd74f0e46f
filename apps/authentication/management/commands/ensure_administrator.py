"""`manage.py ensure_administrator E-MAIL`: create an administrator with access to the admin, unless it exists."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.authentication.models import User


class Command(BaseCommand):
    """Takes the password from ADMINISTRATOR_PASSWORD, so that no list of processes shows it."""

    help = __doc__ or ""
    requires_system_checks = ()  # `migrate` and `serve` run them; here they would load every page

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        password = os.environ.get("ADMINISTRATOR_PASSWORD")
        if not password:
            raise CommandError("set ADMINISTRATOR_PASSWORD")
        if not User.objects.filter(email=email.lower()).exists():
            User.objects.create_superuser(email, password, full_name="Администратор")
            self.stdout.write(f"created {email}")
