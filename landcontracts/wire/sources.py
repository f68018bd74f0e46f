"""Who calls an operation and who hears an event, read from the source; and refusals that a service raises and does not list.

The contract itself comes from the interfaces alone (`generate`); these are the words about it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache

from django.utils.module_loading import import_string

from landcontracts.blueprint import BASE, calls
from landcontracts.topology import SERVICES
from landcontracts.wire.generate import REFUSAL, Document, codes, declared, interface

# Where a refusal's name is no sign that an operation raises it: declared, faked, or made by the REST edge.
ELSEWHERE = {"tests", "migrations", "rest", "interface.py", "testing.py"}


def callers_of(operation: str) -> set[str]:
    """Who calls `<service>.<operation>`: apps, the clock, and for `receive` the apps whose events are heard."""
    service, _, name = operation.partition(".")
    found = {app for app, called in _calls() if called == operation}
    if name == "receive":
        found = {event.partition(".")[0] for event in SERVICES[service].consumes}
    return {f"{app} itself" if app == service else app for app in found}


def hearers_of(event: str) -> set[str]:
    """The services that handle an event."""
    return {service for service, entry in SERVICES.items() if event in entry.consumes}


def unlisted(made: Mapping[str, Document]) -> Iterator[str]:
    """Refusals that a service's source names and no operation lists: callers would meet what no contract says."""
    for service, entry in SERVICES.items():
        listed = {code for item in made[service]["paths"].values() for code in codes(item["post"])}
        for error in declared(interface(import_string(entry.key))):
            if REFUSAL + error.code not in listed and error.__name__ in _names(service):
                yield f"{service}: {error.__name__} is raised, and no docstring lists it after `Raises:`"


@cache
def _calls() -> frozenset[tuple[str, str]]:
    apps = [folder.name for folder in (BASE / "apps").iterdir() if folder.is_dir()]
    found = {(app, f"{service}.{name}") for app in apps for service, name in calls(app)}
    return frozenset(found | {("the clock", operation) for operation in _scheduled()})


def _scheduled() -> Iterator[str]:
    """The periodic commands: ("service", "operation", seconds) in the settings' schedule."""
    for node in ast.walk(ast.parse((BASE / "landcontracts" / "settings.py").read_text())):
        if isinstance(node, ast.Tuple):
            match node.elts:
                case [ast.Constant(value=str(service)), ast.Constant(value=str(name)), ast.Constant(value=int())]:
                    yield f"{service}.{name}"


def _names(service: str) -> set[str]:
    folder = BASE / "apps" / service
    files = [file for file in folder.rglob("*.py") if not ELSEWHERE & set(file.relative_to(folder).parts)]
    return {node.id for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}
