"""Reads from the source which apps call an operation or handle an event, and which refusals a service does not list.

The contract itself comes from the interfaces alone (`generate`); this information is for the messages about it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache

from django.utils.module_loading import import_string

from landcontracts.blueprint import BASE, calls
from landcontracts.topology import SERVICES
from landcontracts.wire.generate import REFUSAL, Document, codes, declared, interface

# Places where a refusal's name does not mean that an operation raises it: declared, faked, or created by the REST edge.
EXCLUDED = {"tests", "migrations", "rest", "interface.py", "testing.py"}


def callers_of(operation: str) -> set[str]:
    """The callers of `<service>.<operation>`: apps, the clock, and for `receive` the apps whose events are handled."""
    service, _, name = operation.partition(".")
    callers = {app for app, called in _calls() if called == operation}
    if name == "receive":
        callers = {event.partition(".")[0] for event in SERVICES[service].consumes}
    return {f"{app} itself" if app == service else app for app in callers}


def hearers_of(event: str) -> set[str]:
    """The services that handle an event."""
    return {service for service, entry in SERVICES.items() if event in entry.consumes}


def unlisted(documents: Mapping[str, Document]) -> Iterator[str]:
    """Refusals that a service's source names and no operation lists, so that callers would not expect them."""
    for service, entry in SERVICES.items():
        listed = {code for item in documents[service]["paths"].values() for code in codes(item["post"])}
        for error in declared(interface(import_string(entry.key))):
            if REFUSAL + error.code not in listed and error.__name__ in _names(service):
                yield f"{service}: {error.__name__} is raised, and no docstring lists it after `Raises:`"


@cache
def _calls() -> frozenset[tuple[str, str]]:
    apps = [folder.name for folder in (BASE / "apps").iterdir() if folder.is_dir()]
    direct = {(app, f"{service}.{name}") for app in apps for service, name in calls(app)}
    return frozenset(direct | {("the clock", operation) for operation in _scheduled()})


def _scheduled() -> Iterator[str]:
    """The periodic commands: ("service", "operation", seconds) in the clock's schedule."""
    for node in ast.walk(ast.parse((BASE / "landcontracts" / "schedule.py").read_text())):
        if isinstance(node, ast.Tuple):
            match node.elts:
                case [ast.Constant(value=str(service)), ast.Constant(value=str(name)), ast.Constant(value=int())]:
                    yield f"{service}.{name}"


def _names(service: str) -> set[str]:
    folder = BASE / "apps" / service
    files = [file for file in folder.rglob("*.py") if not EXCLUDED & set(file.relative_to(folder).parts)]
    return {node.id for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}
