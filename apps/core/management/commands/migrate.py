"""Django's `migrate`, which without a label would record as applied in a service's own database what its router has refused there."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate
from django.db.utils import DEFAULT_DB_ALIAS

from apps.core import topology
from apps.core.postgres.migrate_service import labels_of


class Command(Migrate):
    """In a service's own database: that service's apps and no other."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, label by label where the database is a service's own. Raises: CommandError for another's label."""
        database, label = options["database"], options["app_label"]
        if database == DEFAULT_DB_ALIAS:
            super().handle(*args, **options)
            return
        if database not in topology.entries():
            raise CommandError(f"{database} is a replica: it gets what its home gets")
        labels = labels_of(database)
        if label and label not in labels:
            raise CommandError(f"{label} is not {database}'s: only {', '.join(labels)} are migrated there")
        for one in [label] if label else labels:
            super().handle(*args, **{**options, "app_label": one})
