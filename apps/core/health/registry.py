"""Registry of the families of dependencies that this process can probe: core's own, and those that apps register."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from apps.core.health.probes import Dependency

Family = Callable[[], Iterable[Dependency]]
CORE = ("database", "migrations", "clock", "redis", "keys", "home", "services", "replicas", "traces")
_families = {name: f"apps.core.health.dependencies.{name}" for name in CORE}


def register(name: str, family: str) -> None:
    """Probe this family at `/readyz` where READY_CHECKS names it; replaces a family of the same name.

    `family` is the dotted path of a `Family`, because only a process that answers `/readyz` needs the clients of the
    bucket and of Redis: they are a third of what a short command would import.
    """
    _families[name] = family


def load() -> None:
    """Import the families that this process probes, so that the first probe does not. Raises: ImportError."""
    for name in settings.READY_CHECKS:
        if name in _families:
            _load(name)


def dependencies() -> list[Dependency]:
    """Every dependency of this process, in the order of READY_CHECKS.

    Raises: ImproperlyConfigured for a family that no app registers.
    """
    unknown = [name for name in settings.READY_CHECKS if name not in _families]
    if unknown:
        raise ImproperlyConfigured(f"READY_CHECKS names what no installed app registers: {', '.join(unknown)}")
    return [dependency for name in settings.READY_CHECKS for dependency in _load(name)()]


def _load(name: str) -> Family:
    family: Family = import_string(_families[name])
    return family
