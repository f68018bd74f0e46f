"""The admin's overview of stages and primaries, above the record of actions. A migration is led from the dashboard."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core import topology
from apps.core.postgres import connections
from apps.extraction.pipeline.actions import ACTIONS
from apps.extraction.state import stages
from apps.extraction.state.phases import STAGES
from apps.extraction.state.stages import SHARED, Observed


class Row(NamedTuple):
    """A service in the overview."""

    service: str
    stage: Any
    primary: Any
    observed: Observed | None
    problem: str


def overview() -> list[Row]:
    """Every service: stage and primary, or why they are not known."""
    return [row_of(service) for service in topology.entries()]


def row_of(service: str) -> Row:
    """The row of one service."""
    try:
        observed = stages.observe(service)
    except stages.TwoPrimaries:
        return Row(service, _("TWO PRIMARIES"), _("both"), None, gettext("Both databases let the platform write."))
    except (connections.NoWay, psycopg.Error) as error:
        return Row(service, _("not known"), "", None, str(error).splitlines()[0])
    primary = {None: _("none"), SHARED: _("shared database")}.get(observed.primary, _("its own database"))
    return Row(service, STAGES[observed.stage].label, primary, observed, "")


class MovePages:
    """Mixin of the admin of `Move`: the overview above the list, and the redirect to each service's page."""

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
        """Redirect to the dashboard's page of the service, which replaced this one."""
        if service not in topology.entries():
            raise Http404
        action = request.GET.get("verb", "")
        if action in ACTIONS:
            return HttpResponseRedirect(reverse("admin:extraction_dashboard_act", args=[service, action]))
        return HttpResponseRedirect(reverse("admin:extraction_dashboard_service", args=[service]))
