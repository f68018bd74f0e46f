"""One stack: engines, migrated database, web server and worker, and the environment variables that address them."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from landcontracts import valkey
from landcontracts.embedded import engines, postgres, secrets
from landcontracts.embedded.processes import Process, Processes, StartFailed, free_port, wait_for_url
from landcontracts.topology import MOVABLE, SERVICES

BASE = Path(__file__).resolve().parent.parent.parent
BUCKET = "landcontracts"
ENVIRONMENT = "environment.json"
START_SECONDS = 600  # for a process of the platform on a busy machine; one that ends is not waited for


def is_running(name: str) -> bool:
    """Whether a process holds the stack of this name. What a killed one left in its folder does not count."""
    try:
        lock = os.open(BASE / "var" / f"{name}.lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


class Stack:
    """A context manager that starts everything on entry and stops it on exit.

    `fresh` deletes the data of an earlier run; `durable` is off for temporary data.
    """

    def __init__(self, name: str, *, fresh: bool, durable: bool, quiet: bool = False) -> None:
        self.folder = BASE / "var" / name
        self._fresh = fresh
        self._durable = durable
        self._quiet = quiet
        self._lock: int | None = None
        self.env: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.away: dict[str, str] = {}
        self._servers: tuple[postgres.Server, ...] = ()
        self._as_kind: dict[
            str, dict[str, str]
        ] = {}  # where the engine is this stack's: the variables of web and worker

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(self.folder.parent / f"{self.folder.name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartFailed(f"another process uses {self.folder}") from None
        self.processes = Processes(self.folder)
        if self._fresh:
            shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True, mode=0o700)
        try:
            self._start_engines()
        except BaseException:
            self.processes.stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.processes.stop_all()
        (self.folder / ENVIRONMENT).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)

    @contextmanager
    def step(self, words: str) -> Iterator[None]:
        """Print a step and the seconds that it took."""
        started = time.monotonic()
        if not self._quiet:
            print(f"  {words} … ", end="", flush=True)
        yield
        if not self._quiet:
            print(f"{time.monotonic() - started:.1f} s", flush=True)

    def _say(self, words: str) -> None:
        if not self._quiet:
            print(words, end="", flush=True)

    def _start_engines(self) -> None:
        self.secrets = values = secrets.load(self.folder)
        self.env = {**os.environ, **self.processes.environment, "DJANGO_SETTINGS_MODULE": "landcontracts.settings"}
        for name in ("SECRET_KEY", "SEAM_MASTER_SECRETS", "COMMAND_DIGEST_SECRET", "REFRESH_TOKEN_SECRET"):
            self.env.setdefault(name, values[name])
        self.env.setdefault("JWT_SIGNING_KEY", values["JWT_SIGNING_KEY"])
        # Each service has its address from the start, even before a process listens there.
        self.away = {service: f"http://127.0.0.1:{free_port()}" for service in SERVICES}
        self.env.setdefault("SEAM_AWAY", json.dumps(self.away))
        self.env.setdefault("EMAIL_URL", f"filemail:///{self.folder / 'mail'}")
        if "DATABASE_URL" not in os.environ:
            with self.step("PostgreSQL"):
                self._start_postgres(values)
        if "REDIS_URL" not in os.environ:
            with self.step("Valkey"):
                self._start_valkey(values)
        if "S3_ACCESS_KEY" not in os.environ:
            with self.step("S3"):
                self._start_s3(values)
        with self.step("Tables"):
            self.manage("migrate", "--verbosity=0", DATABASE_URL=self.owner_url)
            self._upgrade_roles()

    def _start_postgres(self, values: dict[str, str]) -> None:
        """Start two servers: the shared database, and one with a database for each relocatable service."""
        start = partial(postgres.start, self.processes, self.folder, values, durable=self._durable)
        self.shared = start()
        self.primaries = start(name="postgres-homes", databases=MOVABLE)
        self._servers = self.shared, self.primaries
        self.env["PG_BIN"] = str(postgres.find_program().bin)
        self.env["BACKUP_ROOT"] = str(self.folder / "backups")
        self.env["DATABASE_URL"] = self.shared.url(postgres.APP, values["DB_APP_PASSWORD"])
        self.env["DATABASE_OWNER_URL"] = self.shared.url(postgres.OWNER, values["DB_OWNER_PASSWORD"])
        self.env["SERVICE_DATABASE_URLS"] = self._service_urls_as(postgres.APP, values["DB_APP_PASSWORD"])
        self.env["SERVICE_DATABASE_PASSWORDS"] = json.dumps(secrets.service_passwords(values, "DB"))
        for variable, role, password in (
            ("CONTROL_URLS", postgres.CONTROL, values["DB_CONTROL_PASSWORD"]),
            ("REPLICATION_URLS", postgres.REPLICATOR, values["DB_REPLICATOR_PASSWORD"]),
        ):
            urls = {"default": self.shared.url(role, password), **json.loads(self._service_urls_as(role, password))}
            self.env[variable] = json.dumps(urls)

    def _upgrade_roles(self) -> None:
        """Give each service's role its rights in data of a version that had one role for all, and close that one."""
        old = [server for server in self._servers if postgres.has_retired_role(server, self.secrets)]
        if old:
            self.manage("database_roles", "--retire", postgres.RETIRED)
        for server in old:
            postgres.close_retired_role(server, self.secrets)

    def _service_urls_as(self, role: str, password: str) -> str:
        return json.dumps({service: self.primaries.url(role, password, service) for service in MOVABLE})

    def _start_valkey(self, values: dict[str, str]) -> None:
        """Start Valkey. The administrator's address is for commands; each kind of process gets its own user's."""
        passwords = {kind: values[f"REDIS_{kind.upper()}_PASSWORD"] for kind in valkey.KINDS}
        url = engines.start_valkey(self.processes, self.folder, values["REDIS_PASSWORD"], valkey.users(passwords))
        self.env["REDIS_URL"] = url
        self.env["SERVICE_VALKEY_PASSWORDS"] = json.dumps(secrets.service_passwords(values, "REDIS"))
        self._as_kind = {
            kind: {"REDIS_URL": url.replace(f"//:{values['REDIS_PASSWORD']}@", f"//{kind}:{passwords[kind]}@")}
            for kind in (valkey.WEB, valkey.WORKER)
        }

    def _start_s3(self, values: dict[str, str]) -> None:
        self.env["S3_BUCKET"] = BUCKET
        self.env["S3_ACCESS_KEY"], self.env["S3_SECRET_KEY"] = values["S3_ACCESS_KEY"], values["S3_SECRET_KEY"]
        self.env["S3_ENDPOINT_URL"] = engines.start_s3(
            self.processes, self.folder, values["S3_ACCESS_KEY"], values["S3_SECRET_KEY"], BUCKET
        )

    def _remember(self) -> None:
        """Store the environment of the running engines for `attach`, readable by its owner only."""
        file = self.folder / ENVIRONMENT
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as output:
            # Without the mark of this run: a command that is attached to it is not ended with it.
            known = {**os.environ, **self.processes.environment}
            json.dump({name: value for name, value in self.env.items() if known.get(name) != value}, output)

    @property
    def owner_url(self) -> str:
        """The database as its owner, who migrates; on a given server, the same role unless another is named."""
        return self.env.get("DATABASE_OWNER_URL", self.env["DATABASE_URL"])

    def manage(self, *arguments: str, **environment: str) -> None:
        """Run a management command. Raises: StartFailed."""
        process = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE,
            env={**self.env, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            raise StartFailed(f"manage.py {arguments[0]}: {(process.stdout + process.stderr)[-3000:]}")

    def start_web(self, *, preferred_port: int = 0, name: str = "web", **environment: str) -> str:
        """Start a web server; returns its URL."""
        port = free_port(preferred_port)
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "landcontracts.server", "--bind", f"127.0.0.1:{port}"]
        self.env.setdefault("PUBLIC_URL", url)
        self.env.setdefault("WEB_URL", url)
        self.env.setdefault("SEAM_HOME", url)  # for a service started by hand beside this stack
        self._remember()
        process, log = self.processes.start(
            name, command, env={**self.env, **self._as_kind.get(valkey.WEB, {}), **environment}, cwd=BASE
        )
        wait_for_url(f"{url}/readyz", process, log, START_SECONDS, say=self._say)
        return url

    def start_lifted(self, service: str, monolith: str) -> Process:
        """Start one service alone, with web server and worker, for the platform at `monolith`. Raises: StartFailed."""
        url = self.away[service]
        command = [sys.executable, "manage.py", "serve", service, "--bind", url.removeprefix("http://")]
        environment = {**self.env, "SEAM_HOME": monolith}
        process, log = self.processes.start(service, command, env=environment, cwd=BASE)
        wait_for_url(f"{url}/readyz", process, log, START_SECONDS, say=self._say)
        return process

    def start_worker(self, *, without: Iterable[str] = ()) -> str:
        """Start the Celery worker and scheduler for all queues but those `without`; returns the URL of its metrics."""
        port = free_port()
        queues = ["clock", *(f"events.{service}" for service in SERVICES if service not in without)]
        command = [
            *(str(Path(sys.executable).parent / "celery"), "-q", "-A", "landcontracts", "worker", "-B"),
            *("-s", str(self.folder / "beat"), "-P", "threads", "-c", "4", "-Q", ",".join(queues)),
            *("-l", "warning"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
        own = {"WORKER_METRICS": f"127.0.0.1:{port}", **self._as_kind.get(valkey.WORKER, {})}
        self.processes.start("worker", command, env={**self.env, **own}, cwd=BASE)
        return f"http://127.0.0.1:{port}/metrics"
