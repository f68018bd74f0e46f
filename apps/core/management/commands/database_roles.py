"""`manage.py database_roles --create`: a database role for each service, made and granted in the present databases."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations
from psycopg import sql

from apps.core import topology
from apps.core.database.primaries import SHARED
from apps.core.postgres import connections, database_roles
from apps.core.postgres.connections import Connection, NoWay

ADMINISTRATORS = "DATABASE_ADMIN_URLS"


class Command(BaseCommand):
    """Repeatable. Acts as the control role (CONTROL_URLS), or as an administrator of the server."""

    help = (
        "Make a database role for each service, with the password that SERVICE_DATABASE_PASSWORDS gives it, and grant "
        f"it what the platform may do with the service's own tables. {ADMINISTRATORS} is a JSON list of the addresses of "
        "roles that may create roles, one for each server."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Whether roles are made, and which role is given up."""
        parser.add_argument("--create", action="store_true", help="make missing roles, and set the passwords of all")
        parser.add_argument(
            "--retire", default="", metavar="ROLE", help="a role that loses every right, such as lc_service"
        )

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        """Create, grant, retire. Raises: CommandError."""
        administrators = _administrators()
        if options["create"] and not administrators:
            raise CommandError(f"set {ADMINISTRATORS}")
        aliases = (SHARED, *(name for name in settings.SERVICE_DATABASE_URLS if name in topology.entries()))
        try:
            if options["create"]:
                for url in administrators:
                    with connections.reach(url) as connection:
                        self._create(connection)
            with ExitStack() as stack:
                sessions = {alias: stack.enter_context(_reach(alias, administrators)) for alias in aliases}
                for alias, connection in sessions.items():
                    self._grant(connection, alias)
                if retired := options["retire"]:
                    self._retire(sessions, retired, administrators)
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
            raise CommandError(f"{alias}: this server has no role {', '.join(absent)}: repeat it with --create")
        granted = database_roles.grant(connection, services)
        if alias != SHARED:
            database_roles.grant_later(connection, alias)
        self.stdout.write(f"{alias}: {len(granted)} rights granted" if granted else f"{alias}: every right is granted")

    def _retire(self, sessions: dict[str, Connection], role: str, administrators: list[str]) -> None:
        """Take every right from a role that nothing uses, then its log-in. Raises: CommandError."""
        if role in {name for service in topology.entries() for name in database_roles.of(service)}:
            raise CommandError(f"{role} serves requests and is not retired")
        for alias, connection in sessions.items():
            count = _sessions_of(connection, role)
            if count:
                raise CommandError(
                    f"{alias}: {role} has {count} open sessions: restart what uses it, with its own role"
                )
            for service in topology.entries() if alias == SHARED else (alias,):
                if role == database_roles.RETIRED and not database_roles.has_successor(connection, service):
                    raise CommandError(f"{alias}: {role} is the last that may write the tables of {service}")
        for alias, connection in sessions.items():
            if database_roles.is_present(connection, role):
                revoked = database_roles.revoke(connection, role)
                self.stdout.write(f"{alias}: {role} has lost its rights on {len(revoked)} tables and sequences")
        for url in administrators:
            with connections.reach(url) as server:
                if database_roles.is_present(server, role):
                    server.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))


def _administrators() -> list[str]:
    try:
        urls = json.loads(os.environ.get(ADMINISTRATORS, "[]"))
    except ValueError as error:
        raise CommandError(f"{ADMINISTRATORS} is no JSON: {error}") from None
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise CommandError(f"{ADMINISTRATORS} is a JSON list of addresses")
    return urls


def _reach(alias: str, administrators: list[str]) -> Connection:
    """A session in a database: as the control role where it is known, else as its server's administrator.

    Raises: CommandError, psycopg.OperationalError.
    """
    try:
        return connections.control(alias)
    except NoWay:
        pass
    database = settings.DATABASES[alias]
    for url in administrators:
        parts = urlsplit(url)
        if (parts.hostname, str(parts.port or 5432)) == (database["HOST"], str(database["PORT"] or 5432)):
            return connections.reach(parts._replace(path=f"/{database['NAME']}").geturl())
    raise CommandError(f"{alias}: neither CONTROL_URLS nor {ADMINISTRATORS} has an address of its server")


def _sessions_of(connection: Connection, role: str) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname = current_database()", [role]
    ).fetchone()
    return int(row[0]) if row else 0


def _verifier(connection: Connection, role: str, password: str) -> sql.Literal:
    """What the server stores instead of the password (RFC 5803), so that no log shows it."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return sql.Literal(verifier.decode())
