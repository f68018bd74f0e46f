"""Connections for those who copy between databases or lead a move: as the control role, and as the replicator.

Not here: the connections that serve people, which are Django's.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo

Connection = psycopg.Connection[Any]
# What a controller that is stopped in the middle holds, the server takes from it.
TIMEOUTS = "-c idle_in_transaction_session_timeout=1000 -c lock_timeout=10000"


class NoWay(Exception):
    """No address is configured by which a database can be copied or led."""


def control(alias: str, *, options: str = TIMEOUTS, database: str = "") -> Connection:
    """A connection as the control role, in autocommit. Raises: NoWay, psycopg.OperationalError."""
    parameters = _parameters(settings.CONTROL_URLS, alias) | ({"dbname": database} if database else {})
    return psycopg.connect(**parameters, options=options, autocommit=True, prepare_threshold=None)


def reach(url: str, *, options: str = TIMEOUTS) -> Connection:
    """A connection to a database that no alias names, in autocommit. Raises: psycopg.OperationalError."""
    parameters: dict[str, Any] = {"connect_timeout": 3, **conninfo_to_dict(url)}
    return psycopg.connect(**parameters, options=options, autocommit=True, prepare_threshold=None)


def control_url(alias: str) -> str:
    """The address of the control role. Raises: NoWay."""
    if alias not in settings.CONTROL_URLS:
        raise NoWay(alias)
    return str(settings.CONTROL_URLS[alias])


def replicator(alias: str, *, for_slots: bool = False) -> Connection:
    """A connection as the replicator; `for_slots` speaks the replication protocol. Raises: NoWay, psycopg.OperationalError."""
    parameters = _parameters(settings.REPLICATION_URLS, alias)
    if for_slots:
        parameters["replication"] = "database"
    return psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)


def address(alias: str) -> str:
    """How another server's subscription reaches a database. Raises: NoWay."""
    return make_conninfo(**_parameters(settings.REPLICATION_URLS, alias))


def is_configured(alias: str) -> bool:
    """Whether both ways to a database are known."""
    return alias in settings.CONTROL_URLS and alias in settings.REPLICATION_URLS


def _parameters(urls: dict[str, str], alias: str) -> dict[str, Any]:
    if alias not in urls:
        raise NoWay(alias)
    return {"connect_timeout": 3, **conninfo_to_dict(urls[alias])}
