"""Each service's database role: its own tables and no others, in new databases and in those of an earlier version."""

from __future__ import annotations

import contextlib
import io
import json
import re

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from apps.backups import manifest
from apps.backups.manifest import Grant
from apps.core import topology
from apps.core.postgres import connections, database_roles, fences
from apps.core.postgres.replication import pattern_of
from landcontracts.topology import SERVICES
from tests.stack.databases import administrators

RIGHTS = """
SELECT c.relname, p.name FROM pg_class c CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p (name)
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND has_table_privilege(%s, c.oid, p.name)
"""
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname ~ %s"
PASSWORD = "a new one: 'quoted' and кириллица"


@pytest.mark.parametrize("service", SERVICES)
def test_a_role_has_rights_on_the_tables_of_its_service_only(service: str):
    with connections.control("default") as shared:
        rights = {(str(table), str(right)) for table, right in shared.execute(RIGHTS, [f"lc_{service}"])}
        own = [str(name) for (name,) in shared.execute(TABLES, [pattern_of(service)])]
    rows = ("SELECT", "INSERT", "UPDATE", "DELETE")
    assert f"{service}_command" in own
    assert rights == {
        *((table, right) for table in own for right in rows),
        ("core_flag", "SELECT"),
        ("django_migrations", "SELECT"),
    }


def test_a_table_of_a_later_migration_is_the_services_too_and_one_closed_to_the_platform_is_not():
    with connections.control("default") as shared, shared.transaction(force_rollback=True):
        shared.execute("SET LOCAL ROLE lc_owner")
        shared.execute("CREATE TABLE documents_later (id bigint GENERATED ALWAYS AS IDENTITY)")
        shared.execute("CREATE TABLE documents_closed (id bigint)")
        shared.execute("REVOKE ALL ON documents_closed FROM lc_app")
        granted = database_roles.grant(shared, topology.entries())
        assert granted == ["lc_documents on documents_later", "lc_documents on documents_later_id_seq"]
        assert database_roles.grant(shared, topology.entries()) == []
        assert {table for table, _ in shared.execute(RIGHTS, ["lc_documents"])} & {
            "documents_later",
            "documents_closed",
        } == {"documents_later"}


@pytest.fixture
def earlier():
    """The databases as an earlier version left them: no role of a service, and one for all, with rights on documents."""
    passwords = dict.fromkeys(SERVICES, PASSWORD)
    roles = [f"tr_{service}" for service in SERVICES]
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(psycopg.connect(url, autocommit=True)) for url in administrators()]
        shared = stack.enter_context(connections.control("default"))
        for server in servers:
            server.execute("CREATE ROLE tr_service LOGIN")
        shared.execute("GRANT SELECT, INSERT ON documents_document, documents_command TO tr_service")
        shared.execute(
            "ALTER DEFAULT PRIVILEGES FOR ROLE lc_owner IN SCHEMA public GRANT SELECT ON TABLES TO tr_service"
        )
        settings = {"DATABASE_APP_ROLES": ["lc_app", "tr_{service}"], "SERVICE_DATABASE_PASSWORDS": passwords}
        try:
            with override_settings(**settings):
                yield shared
        finally:
            for server in servers:
                present = [
                    str(name) for (name,) in server.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^tr_'")
                ]
                for (database,) in server.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall():
                    with psycopg.connect(server.info.dsn, password=server.info.password, dbname=database) as inside:
                        for role in present:
                            inside.execute(f"DROP OWNED BY {role}")
                for role in present:
                    server.execute(f"DROP ROLE {role}")
            assert {*roles, "tr_service"} >= set(present)


def command(*arguments: str, is_administrator: bool = True) -> str:
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        if is_administrator:
            patch.setenv("DATABASE_ADMIN_URLS", json.dumps(administrators()))
        call_command("database_roles", *arguments, stdout=output)
    return output.getvalue()


def test_databases_of_an_earlier_version_are_upgraded_by_one_command(earlier):
    with pytest.raises(CommandError, match="this server has no role tr_authentication, tr_contracts"):
        command()
    with pytest.raises(CommandError, match="set DATABASE_ADMIN_URLS"):
        command("--create", is_administrator=False)
    output = command("--create", "--retire", "tr_service")
    assert "made: tr_authentication, tr_documents" in output
    assert "default: tr_service has lost its rights on 2 tables and sequences" in output
    assert not earlier.execute(RIGHTS, ["tr_service"]).fetchall()
    assert not earlier.execute("SELECT 1 FROM pg_default_acl WHERE defaclacl::text ~ 'tr_service'").fetchall()
    host = earlier.info
    with psycopg.connect(
        host=host.host, port=host.port, dbname=host.dbname, user="tr_documents", password=PASSWORD
    ) as service:
        service.execute("SELECT count(*) FROM documents_document")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute("SELECT count(*) FROM contracts_contract")
    assert earlier.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'tr_service'").fetchone() == (False,)
    again = command("--create")
    assert "made: none, all were there" in again
    assert len(re.findall("every right is granted", again)) == len(SERVICES)


def test_a_role_at_work_or_one_that_serves_is_not_retired(earlier):
    with psycopg.connect(administrators()[0], autocommit=True) as server:
        server.execute("ALTER ROLE tr_service PASSWORD 'known'")
    host = earlier.info
    at_work = {"host": host.host, "port": host.port, "dbname": host.dbname, "user": "tr_service", "password": "known"}
    with psycopg.connect(**at_work), pytest.raises(CommandError, match="tr_service has 1 open sessions"):
        command("--create", "--retire", "tr_service")
    assert earlier.execute(RIGHTS, ["tr_service"]).fetchall()
    with pytest.raises(CommandError, match="lc_app serves requests"):
        command("--retire", "lc_app")


@override_settings(SERVICE_DATABASE_PASSWORDS={})
def test_without_a_password_no_role_is_made(earlier):
    with (
        override_settings(SERVICE_DATABASE_PASSWORDS={}),
        pytest.raises(CommandError, match="no password for authentication"),
    ):
        command("--create")
    assert len(database_roles.missing(earlier)) == len(SERVICES)


def test_where_no_data_may_move_the_administrator_grants(earlier):
    with override_settings(CONTROL_URLS={}, SERVICE_DATABASE_URLS={}):
        with pytest.raises(CommandError, match="default: neither CONTROL_URLS nor DATABASE_ADMIN_URLS"):
            command(is_administrator=False)
        output = command("--create")
    assert "made: tr_authentication" in output
    assert output.count("rights granted") == 1, "of the shared database"
    assert {right for table, right in earlier.execute(RIGHTS, ["tr_documents"]) if table == "documents_document"} == {
        *("SELECT", "INSERT", "UPDATE", "DELETE")
    }


@pytest.fixture
def decommissioned(monkeypatch: pytest.MonkeyPatch):
    """A service's own database as an earlier version left it: the platform reads, one role for all services writes."""
    monkeypatch.setattr(database_roles, "RETIRED", "tr_old")
    with connections.control("documents") as own, psycopg.connect(administrators()[1], autocommit=True) as server:
        server.execute("CREATE ROLE tr_old LOGIN")
        own.execute("SET ROLE lc_owner")
        own.execute("CREATE TABLE documents_left (id bigint GENERATED ALWAYS AS IDENTITY)")
        own.execute("GRANT SELECT ON documents_left TO lc_app")
        own.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON documents_left TO tr_old")
        own.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO tr_old")
        own.execute("RESET ROLE")
        try:
            yield own
        finally:
            own.execute("DROP TABLE documents_left")
            own.execute(
                "ALTER DEFAULT PRIVILEGES FOR ROLE lc_owner IN SCHEMA public REVOKE ALL ON TABLES FROM tr_old, lc_documents"
            )
            server.execute("DROP ROLE tr_old")


def test_a_service_that_alone_may_write_its_data_keeps_that_right(decommissioned):
    rights = "SELECT has_table_privilege(%s, 'documents_left', 'SELECT, INSERT, UPDATE, DELETE')"
    assert not database_roles.has_successor(decommissioned, "documents")
    granted = database_roles.grant(decommissioned, ["documents"])
    database_roles.grant_later(decommissioned, "documents")
    assert "lc_documents on documents_left" in granted
    assert database_roles.has_successor(decommissioned, "documents")
    database_roles.revoke(decommissioned, "tr_old")
    assert decommissioned.execute(rights, ["lc_documents"]).fetchone() == (True,)
    assert decommissioned.execute(rights, ["tr_old"]).fetchone() == (False,)
    decommissioned.execute("SET ROLE lc_owner")
    decommissioned.execute("CREATE TABLE documents_latest (id bigint)")
    query = "SELECT has_table_privilege('lc_documents', 'documents_latest', 'INSERT')"
    try:
        assert decommissioned.execute(query).fetchone() == (True,)
    finally:
        decommissioned.execute("DROP TABLE documents_latest")
        decommissioned.execute("RESET ROLE")


def test_the_last_role_that_may_write_is_not_retired(decommissioned, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(database_roles, "grant", lambda *_: [])
    with pytest.raises(CommandError, match="tr_old is the last that may write the tables of documents"):
        command("--retire", "tr_old")


def test_without_the_control_role_no_migration_runs_while_anything_moves():
    with connections.control("default") as shared:
        fences.set_up(shared, "documents")
        shared.execute("UPDATE extraction.fence SET moving = true WHERE service = 'documents'")
        try:
            with override_settings(CONTROL_URLS={}), pytest.raises(CommandError, match="documents is being moved"):
                call_command("migrate", verbosity=0)
            call_command("migrate", verbosity=0)
        finally:
            shared.execute("UPDATE extraction.fence SET moving = false WHERE service = 'documents'")


def test_a_migration_names_the_roles_that_are_missing():
    errors = io.StringIO()
    with override_settings(DATABASE_APP_ROLES=["lc_app", "none_{service}"]):
        call_command("migrate", verbosity=0, stderr=errors)
    assert "no role none_authentication" in errors.getvalue()


def test_a_backup_made_during_the_upgrade_names_each_right_once():
    both = [Grant("TABLE", "documents_document", role, "SELECT") for role in ("lc_documents", "lc_service")]
    rights = (right for grant in both for right in manifest._as_own_role(grant, grant.name))
    assert manifest._each_once(rights) == (both[0],)


def test_the_rights_in_a_backup_of_an_earlier_version_are_each_services_own():
    old = Grant("TABLE", "documents_document", "lc_service", "SELECT")
    assert manifest._as_own_role(old, old.name) == (Grant("TABLE", "documents_document", "lc_documents", "SELECT"),)
    users = Grant("TABLE", "auth_group", "lc_service", "SELECT")
    assert [grant.role for grant in manifest._as_own_role(users, users.name)] == ["lc_authentication"]
    later = Grant("TABLES", "", "lc_service", "SELECT")
    assert [grant.role for grant in manifest._as_own_role(later, "contracts_")] == ["lc_contracts"]
    assert manifest._as_own_role(later, "default_") == ()
    other = Grant("TABLE", "documents_document", "lc_app", "SELECT")
    assert manifest._as_own_role(other, other.name) == (other,)
