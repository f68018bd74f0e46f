"""System checks at start-up: implementations fit their Protocols, types can be encoded, every event has a handler."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from string import Formatter
from typing import Any, get_type_hints

from django.conf import settings
from django.core.checks import CheckMessage, Error

from apps.core import topology
from apps.core.interface.dto import shape_faults
from apps.core.interface.errors import DomainError, fields_type, known_errors
from apps.core.interface.events import EventEnvelope, ReceivesEvents
from apps.core.interface.operations import Operation, ServiceKey, is_context
from apps.core.seam.client.http import Address
from apps.core.seam.server import dispatch


def check_services(**_: Any) -> list[CheckMessage]:
    """Check every service, address and error of the topology."""
    messages: list[CheckMessage] = []
    for service in topology.loaded():
        entry = topology.entries()[service]
        implementation = dispatch.local_binding(service).implementation
        faults = [*interface_faults(topology.key_of(service)), *implementation_faults(service, implementation)]
        if isinstance(implementation, ReceivesEvents):
            handled = {event.TYPE for event in implementation.handlers}
            if handled != set(entry.consumes):
                faults.append(f"topology says it consumes {sorted(entry.consumes)}, it handles {sorted(handled)}")
        messages += [Error(f"{service}: {fault}", id="seam.E001") for fault in faults]
    messages += [Error(fault, id="seam.E003") for fault in address_faults()]
    messages += [Error(fault, id="seam.E002") for error in known_errors().values() for fault in error_faults(error)]
    return messages


def address_faults() -> Iterator[str]:
    """Malformed addresses in the settings, and settings that name unknown services."""
    for name, url in {
        **settings.SEAM_AWAY,
        **({"SEAM_HOME": settings.SEAM_HOME} if settings.SEAM_HOME else {}),
    }.items():
        try:
            Address(url)
        except ValueError as error:
            yield f"{name}: {error}"
    for name in (*settings.SEAM_AWAY, *settings.SEAM_OWN_DATA):
        if name not in topology.entries():
            yield f"SEAM_AWAY or SEAM_OWN_DATA speaks of {name}, which is no service"
    for name in settings.SEAM_OWN_DATA:
        if name not in settings.SEAM_AWAY and name != settings.SERVICE:
            yield f"{name} has data of its own and no address in SEAM_AWAY"


def error_faults(error: type[DomainError]) -> Iterator[str]:
    """Why a refusal could not be sent over the wire, or its message not be formatted."""
    fields = fields_type(error)
    yield from shape_faults(fields, error.__name__)
    placeholders = {name.split(".")[0] for _, name, _, _ in Formatter().parse(error.message) if name}
    missing = {
        placeholder
        for placeholder in placeholders
        if placeholder not in fields.__struct_fields__ and not hasattr(error, placeholder)
    }
    if missing:
        yield f"{error.__name__}: its message speaks of {sorted(missing)}, which it does not have"


def interface_faults(key: ServiceKey[Any]) -> Iterator[str]:
    """Why a Protocol could not be called over the wire."""
    for operation in key.operations.values():
        if not is_context(operation.first_hint):
            yield f"{operation.name}: the first argument is ctx: CallContext"
        for name, parameter in operation.parameters.items():
            if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                yield f"{operation.name}: {name} is not keyword-only"
            if operation.hints[name] is not EventEnvelope:
                yield from shape_faults(operation.hints[name], f"{operation.name}({name})")
        yield from shape_faults(operation.result_type, f"{operation.name} ->")


def implementation_faults(service: str, implementation: Any) -> Iterator[str]:
    """Where an implementation differs from its Protocol by name, kind, default or type."""
    key = topology.key_of(service)
    cls = type(implementation)
    if key.protocol in cls.__mro__:
        yield f"{cls.__name__} inherits from its Protocol, which would hide a missing method"
    for operation in key.operations.values():
        method = getattr(cls, operation.name, None)
        if method is None:
            yield f"{cls.__name__} lacks {operation.name}"
            continue
        yield from _signature_faults(operation, method)


def _signature_faults(operation: Operation, method: Any) -> Iterator[str]:
    declared = inspect.signature(operation.function).parameters
    actual = inspect.signature(method).parameters
    if list(declared) != list(actual):
        yield f"{operation.name} takes {list(actual)}, its Protocol {list(declared)}"
        return
    for name, parameter in declared.items():
        if (parameter.kind, parameter.default) != (actual[name].kind, actual[name].default):
            yield f"{operation.name}: {name} differs in kind or default"
    if get_type_hints(method, include_extras=True) != get_type_hints(operation.function, include_extras=True):
        yield f"{operation.name}: its types differ from its Protocol's"
