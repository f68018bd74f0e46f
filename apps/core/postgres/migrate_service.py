"""Creates a service's tables in its own database: runs its migrations as the owner of tables, in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from urllib.parse import quote

from django.conf import settings

from apps.core import topology
from apps.core.postgres.connections import NoWay

OWNER = "lc_owner"


class NotPrepared(Exception):
    """A migration failed; the message is its output."""


def labels_of(service: str) -> tuple[str, ...]:
    """The Django apps whose tables hold a service's data."""
    return tuple(label for label, owner in topology.owners().items() if owner == service)


def prepare(service: str) -> None:
    """Apply every migration of a service in its own database. Raises: NoWay, NotPrepared."""
    if service not in settings.CONTROL_URLS:
        raise NoWay(service)
    url = settings.CONTROL_URLS[service]
    as_owner = f"{url}{'&' if '?' in url else '?'}options={quote(f'-c role={OWNER}')}"
    environment = {**os.environ, "SERVICE_DATABASE_URLS": json.dumps({service: as_owner})}
    process = subprocess.run(
        [sys.executable, "manage.py", "migrate", f"--database={service}", "--verbosity=0"],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        raise NotPrepared((process.stdout + process.stderr)[-2000:])
