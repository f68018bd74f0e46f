"""`manage.py ensure_administrator E-MAIL`: an administrator who may open the admin, made where there is none."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.authentication.models import User


class Command(BaseCommand):
    """The password comes from ADMINISTRATOR_PASSWORD, so that it is in no list of processes."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        password = os.environ.get("ADMINISTRATOR_PASSWORD")
        if not password:
            raise CommandError("set ADMINISTRATOR_PASSWORD")
        if not User.objects.filter(email=email.lower()).exists():
            User.objects.create_superuser(email, password, full_name="Администратор")
            self.stdout.write(f"made {email}")
