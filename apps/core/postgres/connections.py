"""Connections for copying between databases and for relocations: as the control role, and as the replicator.

Not here: the connections that serve requests, which are Django's.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

Connection = psycopg.Connection[Any]
# The server frees the locks of a controller that stops in the middle of a transaction.
TIMEOUTS = "-c idle_in_transaction_session_timeout=1000 -c lock_timeout=10000"


class NoWay(Exception):
    """No address is configured at which the control role or the replicator reaches a database."""


def control(alias: str, *, options: str = TIMEOUTS, database: str = "") -> Connection:
    """Connect as the control role, in autocommit. Raises: NoWay, psycopg.OperationalError."""
    parameters = _parameters(settings.CONTROL_URLS, alias) | ({"dbname": database} if database else {})
    return psycopg.connect(**parameters, options=options, autocommit=True, prepare_threshold=None)


def reach(url: str, *, options: str = TIMEOUTS) -> Connection:
    """Connect to a database that has no alias, in autocommit. Raises: psycopg.OperationalError."""
    parameters: dict[str, Any] = {"connect_timeout": 3, **conninfo_to_dict(url)}
    return psycopg.connect(**parameters, options=options, autocommit=True, prepare_threshold=None)


def control_url(alias: str) -> str:
    """The address of the control role. Raises: NoWay."""
    if alias not in settings.CONTROL_URLS:
        raise NoWay(alias)
    return str(settings.CONTROL_URLS[alias])


def replicator(alias: str, *, for_slots: bool = False) -> Connection:
    """Connect as the replicator, for slots by the replication protocol. Raises: NoWay, psycopg.OperationalError."""
    parameters = _parameters(settings.REPLICATION_URLS, alias)
    if for_slots:
        parameters["replication"] = "database"
    return psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)


def address(alias: str) -> str:
    """The connection string with which another server's subscription reaches a database. Raises: NoWay."""
    return make_conninfo(**_parameters(settings.REPLICATION_URLS, alias))


def is_configured(alias: str) -> bool:
    """Whether both the control address and the replication address of a database are configured."""
    return alias in settings.CONTROL_URLS and alias in settings.REPLICATION_URLS


def _parameters(urls: dict[str, str], alias: str) -> dict[str, Any]:
    if alias not in urls:
        raise NoWay(alias)
    return {"connect_timeout": 3, **conninfo_to_dict(urls[alias])}
