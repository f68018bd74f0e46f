"""`manage.py database_roles --admin URL`: a database role for each service, made and granted in the present databases."""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations
from psycopg import sql

from apps.core import topology
from apps.core.database.primaries import SHARED
from apps.core.postgres import connections, database_roles
from apps.core.postgres.connections import Connection, NoWay


class Command(BaseCommand):
    """Repeatable: what is there already is left as it is. Needs CONTROL_URLS."""

    help = (
        "Make a database role for each service, with the password that SERVICE_DATABASE_PASSWORDS gives it, and grant "
        "it what the platform may do with the service's own tables."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Who makes roles, and which role is given up."""
        parser.add_argument(
            "--admin",
            action="append",
            default=[],
            metavar="URL",
            help="a role that may create roles, once for each server; without it roles are only granted",
        )
        parser.add_argument(
            "--retire", default="", metavar="ROLE", help="a role that loses every right, such as lc_service"
        )

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        """Create, grant, retire. Raises: CommandError."""
        try:
            for url in options["admin"]:
                with connections.reach(url) as connection:
                    self._create(connection)
            for alias in (SHARED, *(name for name in settings.SERVICE_DATABASE_URLS if name in topology.entries())):
                with connections.control(alias) as connection:
                    self._grant(connection, alias)
                    if retired := options["retire"]:
                        self._retire(connection, alias, retired)
        except NoWay as error:
            raise CommandError(f"CONTROL_URLS has no address for {error}") from error
        except psycopg.Error as error:
            raise CommandError(f"database_roles: {error}") from error

    def _create(self, connection: Connection) -> None:
        """Make the roles that this server does not have; a present one gets the password given. Raises: CommandError."""
        absent = database_roles.missing(connection)
        with connection.transaction():
            for service in topology.entries():
                password = settings.SERVICE_DATABASE_PASSWORDS.get(service)
                for role in database_roles.own_of(service):
                    if password is None and role in absent:
                        raise CommandError(f"SERVICE_DATABASE_PASSWORDS has no password for {service}")
                    if password is not None:
                        verb = "CREATE" if role in absent else "ALTER"
                        connection.execute(
                            sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                                sql.SQL(verb), sql.Identifier(role), _verifier(connection, role, password)
                            )
                        )
        self.stdout.write(f"made: {', '.join(absent) or 'none, all were there'}")

    def _grant(self, connection: Connection, alias: str) -> None:
        """Grant, and refuse to go on where a role is missing. Raises: CommandError."""
        services = tuple(topology.entries()) if alias == SHARED else (alias,)
        wanted = {role for service in services for role in database_roles.own_of(service)}
        if absent := sorted(wanted & set(database_roles.missing(connection))):
            raise CommandError(
                f"{alias}: this server has no role {', '.join(absent)}: name its administrator, --admin URL"
            )
        granted = database_roles.grant(connection, services)
        self.stdout.write(f"{alias}: {len(granted)} rights granted" if granted else f"{alias}: every right is granted")

    def _retire(self, connection: Connection, alias: str, role: str) -> None:
        """Take every right from a role that nothing uses. Raises: CommandError for one at work or one of the platform's."""
        if role in {name for service in topology.entries() for name in database_roles.of(service)}:
            raise CommandError(f"{role} serves requests and is not retired")
        rows = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname = current_database()", [role]
        ).fetchone()
        if rows and rows[0]:
            raise CommandError(f"{alias}: {role} has {rows[0]} open sessions: restart what uses it, with its own role")
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
            return
        revoked = database_roles.revoke(connection, role)
        self.stdout.write(f"{alias}: {role} has lost its rights on {len(revoked)} tables and sequences")


def _verifier(connection: Connection, role: str, password: str) -> sql.Literal:
    """What the server stores instead of the password (RFC 5803), so that no log shows it."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return sql.Literal(verifier.decode())
