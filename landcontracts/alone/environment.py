"""The environment of a process that runs one service: without the secrets of others, from the first byte.

The initial environment of a process can be read as long as it runs, so a process that has too much executes itself
anew. It does so before Django is loaded.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from functools import partial
from typing import NoReturn
from urllib.parse import quote, urlsplit, urlunsplit

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.core.seam import signing
from landcontracts.topology import SERVICES

# Variables that no lifted-out service needs: other pairs' secrets, the address of the tables' owner. What another
# service alone needs, the topology says.
MASTER_ONLY = (
    *("SEAM_MASTER_SECRETS", "DATABASE_OWNER_URL", "POSTGRES_PASSWORD", "OWNER_PASSWORD"),
    *("APP_PASSWORD", "SERVICE_PASSWORD", "REPLICATOR_PASSWORD", "CONTROL_PASSWORD", "SERVICE_DATABASE_PASSWORDS"),
    *(
        "DATABASE_ADMIN_URLS",
        "WORKER_REDIS_URL",
        "VALKEY_PASSWORD",
        "VALKEY_WEB_PASSWORD",
        "VALKEY_WORKER_PASSWORD",
        "SERVICE_VALKEY_PASSWORDS",
    ),
)


def narrow(arguments: list[str]) -> None:
    """Before the settings are read: load nothing but the service among the arguments, with no secrets but its own.

    Raises: ImproperlyConfigured without the secrets of its pairs.
    """
    for service in arguments:
        if service in SERVICES:
            os.environ["SERVICE"] = service
            if names := _not_needed(service):
                _execute_without(service, names)


def _not_needed(service: str) -> set[str]:
    others = (entry for name, entry in SERVICES.items() if name != service)
    return {*MASTER_ONLY, *(variable for entry in others for variable in entry.variables)} & os.environ.keys()


def _execute_without(service: str, names: set[str]) -> NoReturn:
    environment = {name: value for name, value in os.environ.items() if name not in names}
    os.execve(sys.executable, [sys.executable, *sys.argv], environment | _own(service))  # noqa: S606 - no shell is meant


def _own(service: str) -> dict[str, str]:
    """The variables with which a service can call, be called and verify tokens, but cannot sign as another service.

    A service states the actor of its calls; the callee reads his roles anew and knows what the pair may ask (ADR 0030).
    """
    pairs = settings.SEAM_PAIR_SECRETS or signing.pairs_of(service, SERVICES)
    if not all(pairs.values()):
        raise ImproperlyConfigured("SEAM_MASTER_SECRETS or SEAM_PAIR_SECRETS has to be set")
    variables = {
        "SERVICE": service,
        "SECRET_KEY": secrets.token_hex(24),  # signs nothing that outlives this process
        "SEAM_PAIR_SECRETS": json.dumps(pairs),
        "REDIS_URL": _as_user(
            os.environ["REDIS_URL"], user=service, password=settings.SERVICE_VALKEY_PASSWORDS.get(service)
        ),
        **_databases(service),
    }
    if not settings.ISSUES_TOKENS and (signing_key := os.environ.get("JWT_SIGNING_KEY")):
        key = load_pem_private_key(signing_key.replace("\\n", "\n").encode(), password=None)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        variables["JWT_RETIRED_PUBLIC_KEYS"] = json.dumps([public, *settings.JWT_RETIRED_PUBLIC_KEYS])
    return variables


def _databases(service: str) -> dict[str, str]:
    """The databases that a service reaches, as its own role where that has a password; else as the given addresses say.

    A service that copies follows the grants of the platform's role: its own has no rights on what it copies.
    """
    known = {service, "default"} if not SERVICES[service].copies else {*SERVICES, "default"}
    role = next((str(name).format(service=service) for name in settings.DATABASE_APP_ROLES if "{service}" in name), "")
    address = partial(_as_user, user=role, password=settings.SERVICE_DATABASE_PASSWORDS.get(service) if role else None)
    variables = {
        "DATABASE_URL": address(os.environ["DATABASE_URL"]),
        "SERVICE_DATABASE_URLS": json.dumps(
            {name: address(url) for name, url in settings.SERVICE_DATABASE_URLS.items() if name in known}
        ),
        "REPLICA_URLS": json.dumps(
            {alias: [address(url) for url in urls] for alias, urls in settings.REPLICA_URLS.items() if alias in known}
        ),
    }
    if SERVICES[service].copies:
        variables["DATABASE_APP_ROLE"] = settings.DATABASE_APP_ROLE or settings.DATABASE_APP_ROLES[0]
    return variables


def _as_user(url: str, *, user: str, password: str | None) -> str:
    """An address with another user; as it is where that user has no password."""
    if password is None:
        return url
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{place}"))
