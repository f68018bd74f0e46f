"""`manage.py serve documents --bind 127.0.0.1:8101`: one bounded app alone, its web server and its worker."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.rest.keys import keyring
from apps.core.seam import signing, topology
from apps.core.seam.http_client import Address

STOP_SECONDS = 15
PR_SET_PDEATHSIG = 1
# What the one service does not need to hold: other pairs' secrets, the key that issues tokens.
MASTER_ONLY = ("SEAM_MASTER_SECRETS",)
ISSUER_ONLY = ("JWT_SIGNING_KEY", "REFRESH_TOKEN_SECRET")


class Command(BaseCommand):
    """Runs until it is told to stop, or until one of its two processes ends."""

    help = "Run one service alone: seam endpoint, public REST, event queue, health and metrics."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which service, and where."""
        parser.add_argument("service", choices=tuple(topology.entries()))
        parser.add_argument("--bind", default="127.0.0.1:8101", help="host:port, or unix:///path of a socket")
        parser.add_argument("--threads", type=int, default=8, help="calls answered at a time")
        parser.add_argument("--no-worker", action="store_true", help="leave its events to other workers")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start both, wait, end both. Raises: CommandError when one ended by itself."""
        service: str = options["service"]
        environment = {**os.environ, **own_secrets(service)}
        environment["DB_POOL_SIZE"] = str(options["threads"])
        for name in (*MASTER_ONLY, *(() if settings.ISSUES_TOKENS else ISSUER_ONLY)):
            environment.pop(name, None)
        commands = {"web": web_command(options["bind"], options["threads"])}
        if not options["no_worker"]:
            commands["worker"] = worker_command(service)
        signal.signal(signal.SIGTERM, _interrupt)
        running = {
            name: subprocess.Popen(command, env=environment, preexec_fn=_die_with_parent)  # noqa: PLW1509 - this process has one thread
            for name, command in commands.items()
        }
        self.stdout.write(f"{service} on {options['bind']}, {' and '.join(running)}")
        self.stdout.flush()
        try:
            while all(process.poll() is None for process in running.values()):
                time.sleep(0.2)
        except KeyboardInterrupt:
            return
        finally:
            _end(list(running.values()))
        raise CommandError(f"{', '.join(name for name, process in running.items() if process.returncode)} has ended")


def own_secrets(service: str) -> dict[str, str]:
    """The variables with which a service can call and be called, and check tokens, and do nothing in another's name."""
    found = settings.SEAM_PAIR_SECRETS or signing.pairs_of(service, topology.entries())
    variables = {
        "SERVICE": service,
        "SECRET_KEY": secrets.token_hex(24),  # signs nothing that outlives this process
        "SEAM_PAIR_SECRETS": json.dumps(found),
    }
    if not settings.ISSUES_TOKENS and (signing_key := os.environ.get("JWT_SIGNING_KEY")):
        settings.JWT_SIGNING_KEY = signing_key.replace("\\n", "\n")
        public = keyring.signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        variables["JWT_RETIRED_PUBLIC_KEYS"] = json.dumps([public, *settings.JWT_RETIRED_PUBLIC_KEYS])
    return variables


def web_command(bind: str, threads: int) -> list[str]:
    """Granian as the monolith runs it. Raises: CommandError for an address that is none."""
    try:
        address = Address(bind if "://" in bind else f"http://{bind}")
    except ValueError as error:
        raise CommandError(str(error)) from None
    where = ["--uds", address.path] if address.is_unix else ["--host", address.host, "--port", str(address.port)]
    return [
        *(_program("granian"), "--interface", "wsgi", *where, "--workers", "1", "--no-ws"),
        *("--blocking-threads", str(threads), "--http", "1", "--runtime-mode", "mt", "--log-level", "warning"),
        "landcontracts.wsgi:application",
    ]


def worker_command(service: str) -> list[str]:
    """The worker of the service's own queue, with its own clock."""
    schedule = Path(tempfile.mkdtemp(prefix=f"{service}-")) / "beat"
    return [
        *(_program("celery"), "-A", "landcontracts", "worker", "-B", "-s", str(schedule), "-P", "threads", "-c", "2"),
        *("-Q", f"events.{service}", "-n", f"{service}-{os.getpid()}@%h", "-l", "warning"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _interrupt(*_: int | FrameType | None) -> None:
    raise KeyboardInterrupt


def _die_with_parent() -> None:
    """A service whose supervisor was killed outright does not live on unseen (Linux; elsewhere it is left to the service manager).

    Told kindly, because both have children of their own to end.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
