"""The admin's pages for moving a service's data: where all stand, and for each its situation, the plan of an action, and the action."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
from celery import current_app
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.database import homes, places
from apps.core.seam import topology
from apps.extraction.models import Move, Outcome
from apps.extraction.moving import plans, states
from apps.extraction.moving.states import SHARED, Observed
from apps.extraction.moving.verbs import NEXT, VERBS

WORDS = {
    "prepare": _("Make its tables"),
    "rehearse": _("Rehearse on copies"),
    "sync": _("Copy and follow"),
    "verify": _("Compare every row"),
    "cutover": _("Cut over"),
    "rollback": _("Roll back"),
    "commit": _("Commit for good"),
    "decommission": _("Decommission the old home"),
    "resume": _("Go on"),
    "abort": _("Abort"),
}
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
        observed = states.observe(service)
    except states.TwoHomes:
        return Row(service, _("TWO HOMES"), _("both"), None, gettext("Both databases let the platform write."))
    except (places.NoWay, psycopg.Error) as error:
        return Row(service, _("not known"), "", None, str(error).splitlines()[0])
    home = {None: _("none"), SHARED: _("shared database")}.get(observed.home, _("its own database"))
    return Row(service, STAGES[observed.stage.value], home, observed, "")


class MovePages:
    """Mixin of the admin of moves: the overview above the list, a page per service, and its actions. Superusers only."""

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
        """Situation, plan, and with a POST the action itself, done by the worker."""
        if not request.user.is_superuser:
            raise PermissionDenied
        if service not in topology.entries():
            raise Http404
        here = reverse("admin:extraction_service", args=[service])
        if request.method == "POST":
            self._ask(request, service)
            return HttpResponseRedirect(here)
        row = row_of(service)
        possible = NEXT[row.observed.stage] if row.observed and _can_move(service) else ()
        chosen = request.GET.get("verb", "")
        under_way = (
            Move.objects.filter(service=service, outcome__in=(Outcome.ASKED, Outcome.RUNNING))
            .order_by("-started_at")
            .first()
        )
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Home of the data: %(service)s") % {"service": service},
            "row": row,
            "situation": list(plans.situation(service)),
            "verbs": [(verb, WORDS[verb]) for verb in possible],
            "verb": chosen if chosen in possible else "",
            "verb_words": WORDS.get(chosen, ""),
            "shown": plans.show(service, chosen) if chosen in possible else None,
            "under_way": under_way,
            "moves": Move.objects.filter(service=service).order_by("-started_at")[:10],
            "opts": Move._meta,
        }
        return TemplateResponse(request, "admin/extraction/service.html", context)

    def _ask(self, request: HttpRequest, service: str) -> None:
        verb, reason = request.POST.get("verb", ""), request.POST.get("reason", "").strip()
        row = row_of(service)
        possible = (*NEXT[row.observed.stage], "resume", "abort") if row.observed else ("resume", "abort")
        if verb not in VERBS or not _can_move(service):
            raise Http404
        if verb not in possible:
            messages.error(request, gettext("That is not possible at this stage."))
            return
        if not reason:
            messages.error(request, gettext("Say why: it is kept in the record."))
            return
        who = str(request.user)[:254]
        move = Move.objects.create(
            service=service, verb=verb, who=who, where="admin", reason=reason[:500], outcome=Outcome.ASKED
        )
        # By name: whoever takes it has the code and the way to the databases, and this request does not wait.
        current_app.send_task("extraction.act", args=[str(move.id)], queue="clock", ignore_result=True)
        messages.success(request, gettext("Asked for; the record below shows how it goes."))


def _can_move(service: str) -> bool:
    return homes.is_movable(service) and places.is_configured(service)
