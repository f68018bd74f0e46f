"""Connections to the stack's databases as the role of one service, and as their administrator."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg

from landcontracts.embedded import postgres, secrets


def as_service(service: str) -> psycopg.Connection[Any]:
    """A session in the shared database as a service's own role, in autocommit."""
    password = json.loads(os.environ["SERVICE_DATABASE_PASSWORDS"])[service]
    return psycopg.connect(_as(os.environ["DATABASE_URL"], f"lc_{service}", password), autocommit=True)


def administrators() -> tuple[str, ...]:
    """The addresses of both servers' administrators."""
    password = secrets.load(Path(os.environ["BACKUP_ROOT"]).parent)["DB_SUPERUSER_PASSWORD"]
    urls = os.environ["DATABASE_URL"], next(iter(json.loads(os.environ["SERVICE_DATABASE_URLS"]).values()))
    return tuple(_as(url, postgres.SUPERUSER, password) for url in urls)


def _as(url: str, role: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"))
