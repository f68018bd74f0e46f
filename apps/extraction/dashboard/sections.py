"""Sections of a service's page registered by other modules, in their order; an error in one does not break the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import structlog
from django.utils.translation import gettext_lazy as _

from apps.extraction.decommission.results import standing

log = structlog.get_logger(__name__)


class Section(NamedTuple):
    """A section of the page. `gather` returns the template's context for a service's name, at each request."""

    name: str
    title: Any
    template: str
    gather: Callable[[str], Mapping[str, Any]]


class Shown(NamedTuple):
    """A section with its context, or with the problem of gathering it."""

    section: Section
    context: Mapping[str, Any]
    problem: str


SECTIONS: list[Section] = []


def register(section: Section) -> None:
    """Add a section; one of the same name is replaced."""
    SECTIONS[:] = [other for other in SECTIONS if other.name != section.name] + [section]


def of(service: str) -> list[Shown]:
    """Every section for a service."""
    return [_shown(section, service) for section in SECTIONS]


def _shown(section: Section, service: str) -> Shown:
    try:
        return Shown(section, section.gather(service), "")
    except Exception as error:  # noqa: BLE001 - the rest of the page is shown in spite of any error
        log.warning("section_not_gathered", section=section.name, service=service, error=str(error))
        return Shown(section, {}, str(error).splitlines()[0] if str(error) else type(error).__name__)


def _checklist(service: str) -> Mapping[str, Any]:
    return {"items": standing(service)}


register(
    Section(
        "checklist", _("Checklist before the old tables go"), "admin/extraction/dashboard/_checklist.html", _checklist
    )
)
