"""The type and the loading of the topology, the one table from service key to implementation.

The table itself is `landcontracts/topology.py`, named by the setting `SEAM_TOPOLOGY`, because core knows no app.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import msgspec
from django.conf import settings
from django.utils.module_loading import import_string

from apps.core.interface.operations import ServiceKey
from apps.core.interface.stored_objects import StoredObjects


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. `consumes` are the names of the events that the service handles.

    `also` are the labels of other Django apps whose tables are relocated with the service, `tables` the prefixes of all
    its table names, by default the service's own. `objects` names a `StoredObjects`, where its rows name objects in a
    bucket. `variables` are those of the environment that no other service needs, such as its secrets. A service that
    `copies` knows every service's database; its own tables are control data and are not relocated. `as_system` are the
    operations of others that it asks for the system and not for a person.
    """

    key: str
    implementation: str
    consumes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    objects: str = ""
    variables: tuple[str, ...] = ()
    copies: bool = False
    as_system: tuple[str, ...] = ()


@cache
def entries() -> dict[str, Entry]:
    """The table, by service name, which is the app's label."""
    table: dict[str, Entry] = importlib.import_module(settings.SEAM_TOPOLOGY).SERVICES
    return table


def loaded() -> tuple[str, ...]:
    """The services whose code is in this process: all of them, or the one that is lifted out."""
    return tuple(service for service in entries() if service in settings.SEAM_SERVES)


@cache
def key_of(service: str) -> ServiceKey[Any]:
    """The key of a service. Raises: KeyError for a service that is not in the table."""
    key: ServiceKey[Any] = import_string(entries()[service].key)
    return key


def consumers_of(event_type: str) -> tuple[str, ...]:
    """Which services handle an event."""
    return _consumers().get(event_type, ())


@cache
def _consumers() -> dict[str, tuple[str, ...]]:
    consumers: dict[str, list[str]] = {}
    for service, entry in entries().items():
        for event_type in entry.consumes:
            consumers.setdefault(event_type, []).append(service)
    return {event_type: tuple(services) for event_type, services in consumers.items()}


@cache
def owners() -> dict[str, str]:
    """The service that owns an app's models, by the app's label. Other apps' models stay in the shared database."""
    return {label: service for service, entry in entries().items() for label in (service, *entry.also)}


def table_names(service: str) -> tuple[str, ...]:
    """The prefixes of a service's table names."""
    return entries()[service].tables or (f"{service}_",)


def objects_of(service: str) -> StoredObjects | None:
    """The description of a service's objects in a bucket, if it has any."""
    path = entries()[service].objects
    objects: StoredObjects | None = import_string(path) if path else None
    return objects
