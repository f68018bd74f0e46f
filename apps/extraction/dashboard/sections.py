"""Parts of a service's page that other modules bring: registered once, shown in their order, and none takes the page down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import structlog
from django.utils.translation import gettext_lazy as _

from apps.extraction.decommission.results import standing

log = structlog.get_logger(__name__)


class Section(NamedTuple):
    """A part of the page. `gather` is asked for the template's context each time, with the service's name."""

    name: str
    title: Any
    template: str
    gather: Callable[[str], Mapping[str, Any]]


class Shown(NamedTuple):
    """A part with what was gathered, or with what hindered it."""

    section: Section
    context: Mapping[str, Any]
    problem: str


SECTIONS: list[Section] = []


def register(section: Section) -> None:
    """Show this part from now on; one of the same name is replaced."""
    SECTIONS[:] = [known for known in SECTIONS if known.name != section.name] + [section]


def of(service: str) -> list[Shown]:
    """Every part for a service."""
    return [_shown(section, service) for section in SECTIONS]


def _shown(section: Section, service: str) -> Shown:
    try:
        return Shown(section, section.gather(service), "")
    except Exception as error:  # noqa: BLE001 - whatever it is, the rest of the page is worth seeing
        log.warning("section_not_gathered", section=section.name, service=service, error=str(error))
        return Shown(section, {}, str(error).splitlines()[0] if str(error) else type(error).__name__)


def _checklist(service: str) -> Mapping[str, Any]:
    return {"items": standing(service)}


register(
    Section(
        "checklist", _("Checklist before the old tables go"), "admin/extraction/dashboard/_checklist.html", _checklist
    )
)
