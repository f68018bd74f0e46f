"""Django's `migrate`, limited to the service's apps in a service's own database.

Without a label, Django would record migrations as applied there whose tables the router has refused. In every database
each service's own role then gets the rights on the new tables that the platform has.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.migrate import Command as Migrate
from django.db.utils import DEFAULT_DB_ALIAS

from apps.core import topology
from apps.core.database import primaries
from apps.core.postgres import connections, database_roles, migrate_service
from apps.core.postgres.connections import Connection
from apps.core.postgres.migrate_service import labels_of


class Command(Migrate):
    """Migrates in a service's own database only that service's apps."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Django's, and `--all`."""
        super().add_arguments(parser)
        parser.add_argument(
            "--all", action="store_true", help="migrate each service whose data have moved in its own database, too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, then grant.

        Raises: CommandError for a label of another service, and where the new tables could not be granted.
        """
        if not (options["plan"] or options["check_unapplied"]):
            _require_grants_possible(options["database"])
        self._migrate(*args, **options)
        if not (options["plan"] or options["check_unapplied"]):
            self._grant(options["database"])
        if options["all"]:
            self._migrate_moved()

    def _migrate_moved(self) -> None:
        """Migrate as the owner, whom CONTROL_URLS reach. Raises: CommandError."""
        primaries.forget()
        for service in topology.entries():
            if primaries.is_movable(service) and _has_moved(service):
                try:
                    migrate_service.prepare(service)
                except connections.NoWay:
                    raise CommandError(f"{service}: CONTROL_URLS has no address of its own database") from None
                except migrate_service.NotPrepared as error:
                    raise CommandError(f"{service}: {error}") from error
                self.stdout.write(f"{service}: migrated in its own database")

    def _migrate(self, *args: Any, **options: Any) -> None:
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

    def _grant(self, database: str) -> None:
        """Grant the services' roles. Where a role is missing, say so."""
        services = topology.entries() if database == DEFAULT_DB_ALIAS else [database]
        with _reach(database) as connection:
            database_roles.grant(connection, services)
            absent = database_roles.missing(connection)
            if absent and database_roles.is_present(connection, database_roles.platform()):
                self.stderr.write(f"no role {', '.join(absent)} on this server: manage.py database_roles --create")


def _reach(database: str) -> Connection:
    """As the control role where it is known: it holds the fence, and the guard lets it grant during a move."""
    return connections.control(database) if database in settings.CONTROL_URLS else primaries.connect(database)


def _require_grants_possible(database: str) -> None:
    """Refuse to make tables that could not be granted. Raises: CommandError."""
    if database in settings.CONTROL_URLS or database not in {DEFAULT_DB_ALIAS, *topology.entries()}:
        return
    with primaries.connect(database) as connection:
        if moving := database_roles.moving(connection):
            raise CommandError(
                f"{', '.join(moving)} is being moved: new tables are granted as the control role only, set CONTROL_URLS"
            )


def _has_moved(service: str) -> bool:
    """Whether a service's own database is its primary. Raises: CommandError when neither database says so."""
    try:
        return primaries.database_of(service) == service
    except psycopg.OperationalError as error:
        raise CommandError(f"{service}: {error}") from error
