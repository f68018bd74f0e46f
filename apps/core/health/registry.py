"""Registry of the families of dependencies that this process can probe: core's own, and those that apps register."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from apps.core.health.probes import Dependency

Family = Callable[[], Iterable[Dependency]]
_families: dict[str, Family] = {}


def register(name: str, family: Family) -> None:
    """Probe this family at `/readyz` where READY_CHECKS names it; replaces a family of the same name."""
    _families[name] = family


def dependencies() -> list[Dependency]:
    """Every dependency of this process, in the order of READY_CHECKS.

    Raises: ImproperlyConfigured for a family that no app registers.
    """
    unknown = [name for name in settings.READY_CHECKS if name not in _families]
    if unknown:
        raise ImproperlyConfigured(f"READY_CHECKS names what no installed app registers: {', '.join(unknown)}")
    return [dependency for name in settings.READY_CHECKS for dependency in _families[name]()]
