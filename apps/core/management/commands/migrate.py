"""Django's `migrate`, limited to the service's apps in a service's own database.

Without a label, Django would record migrations as applied there whose tables the router has refused.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate
from django.db.utils import DEFAULT_DB_ALIAS

from apps.core import topology
from apps.core.postgres.migrate_service import labels_of


class Command(Migrate):
    """Migrates in a service's own database only that service's apps."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, label by label in a service's own database. Raises: CommandError for a label of another service."""
        database, label = options["database"], options["app_label"]
        if database == DEFAULT_DB_ALIAS:
            super().handle(*args, **options)
            return
        if database not in topology.entries():
            raise CommandError(f"{database} is a replica: it follows the migrations of its primary")
        labels = labels_of(database)
        if label and label not in labels:
            raise CommandError(f"{label} is not {database}'s: only {', '.join(labels)} are migrated there")
        for app_label in [label] if label else labels:
            super().handle(*args, **{**options, "app_label": app_label})
