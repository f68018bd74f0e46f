"""What the admin's pages of moves show of where everything stands, and how an action is asked for. It is led from the dashboard."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
from celery import current_app
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError

from apps.core import topology
from apps.core.database import primaries
from apps.core.postgres import connections
from apps.extraction.pipeline.actions import NEXT, VERBS
from apps.extraction.state import stages
from apps.extraction.state.models import Move, Outcome
from apps.extraction.state.stages import SHARED, Observed

# Out of whatever was left half-way, whatever the stage seems to be.
ALWAYS = ("resume", "abort")

STAGES = {
    "in_process": _("in the process"),
    "shadow": _("shadowed"),
    "canary": _("canary"),
    "remote": _("remote"),
    "syncing": _("being copied"),
    "verified": _("verified"),
    "cutting": _("between two homes"),
    "reversible": _("moved, reversible"),
    "committed": _("moved for good"),
    "decommissioned": _("old home decommissioned"),
}


class NotAsked(Exception):
    """The action cannot be asked for; the message says why, in the reader's language."""


class Row(NamedTuple):
    """A service as the overview shows it."""

    service: str
    stage: Any
    home: Any
    observed: Observed | None
    problem: str


def overview() -> list[Row]:
    """Every service: stage and home, or what hinders the look."""
    return [row_of(service) for service in topology.entries()]


def row_of(service: str) -> Row:
    """One service."""
    try:
        observed = stages.observe(service)
    except stages.TwoHomes:
        return Row(service, _("TWO HOMES"), _("both"), None, gettext("Both databases let the platform write."))
    except (connections.NoWay, psycopg.Error) as error:
        return Row(service, _("not known"), "", None, str(error).splitlines()[0])
    home = {None: _("none"), SHARED: _("shared database")}.get(observed.home, _("its own database"))
    return Row(service, STAGES[observed.stage.value], home, observed, "")


class MovePages:
    """Mixin of the admin of moves: the overview above the list, and the way to each service's page."""

    admin_site: admin.AdminSite

    def get_urls(self) -> list[URLPattern]:
        """The service pages before the records'."""
        page = path("service/<slug:service>/", self.admin_site.admin_view(self.service_page), name="extraction_service")
        urls: list[URLPattern] = super().get_urls()  # type: ignore[misc]  # ModelAdmin's, which this is mixed into
        return [page, *urls]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The records, below the overview."""
        context = {**(extra_context or {}), "rows": overview()}
        answer: HttpResponse = super().changelist_view(request, context)  # type: ignore[misc]  # as above
        return answer

    def service_page(self, request: HttpRequest, service: str) -> HttpResponse:
        """A service is led from the dashboard's page; this one was its address before."""
        if service not in topology.entries():
            raise Http404
        verb = request.GET.get("verb", "")
        if verb in VERBS:
            return HttpResponseRedirect(reverse("admin:extraction_dashboard_act", args=[service, verb]))
        return HttpResponseRedirect(reverse("admin:extraction_dashboard_service", args=[service]))


def ask(service: str, verb: str, *, who: str, reason: str) -> Move:
    """Have the worker do it: the record of what was asked for. Raises: NotAsked."""
    row = row_of(service)
    possible = (*NEXT[row.observed.stage], *ALWAYS) if row.observed else ALWAYS
    if verb not in possible or not can_move(service):
        raise NotAsked(gettext("That is not possible at this stage."))
    if not reason.strip():
        raise NotAsked(gettext("Say why: it is kept in the record."))
    move = Move.objects.create(
        service=service, verb=verb, who=who[:254], where="admin", reason=reason.strip()[:500], outcome=Outcome.ASKED
    )
    # By name: whoever takes it has the code and the way to the databases, and this request does not wait.
    try:
        current_app.send_task("extraction.act", args=[str(move.id)], queue="clock", ignore_result=True)
    except OperationalError as error:
        Move.objects.filter(id=move.id).update(
            outcome=Outcome.FAILED, problem=f"not sent: {error}"[:4000], ended_at=timezone.now()
        )
        raise NotAsked(gettext("The worker's queue does not answer: nothing was begun.")) from None
    return move


def can_move(service: str) -> bool:
    """Whether the ways to both databases are known."""
    return primaries.is_movable(service) and connections.is_configured(service)
