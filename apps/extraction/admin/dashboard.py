"""The dashboard's pages: the overview, a page for each service, an action with its plan, and the report of a period.

People with the view permission may read; superusers act, by POST, from the page that shows the plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import get_language, gettext

from apps.core import topology
from apps.core.flags import snapshot
from apps.core.rest.heavy import heavy
from apps.extraction.dashboard import (
    board,
    charts,
    choices,
    forms,
    labels,
    pdf,
    preview,
    probe,
    report,
    sections,
    timeline,
)
from apps.extraction.dashboard.board import Board
from apps.extraction.dashboard.cards import Card, ServiceState
from apps.extraction.dashboard.charts import Chart
from apps.extraction.dashboard.submission import Refused, act
from apps.extraction.routing.canary import controller
from apps.extraction.routing.shadow import mismatches
from apps.extraction.state.models import ACT, Move
from apps.extraction.state.phases import STAGES
from apps.extraction.state.stages import Stage

FOLDER = "admin/extraction/dashboard"
INVALID = 422
encoder = msgspec.json.Encoder(decimal_format="number")


class ServiceLive(msgspec.Struct, frozen=True):
    """The live part of a service's page, requested each two seconds. A new `revision`: other parts have changed too."""

    card: Card
    charts: tuple[Chart, ...]
    revision: str


class DashboardPages:
    """Mixin of the dashboard's admin: its pages in place of a list of records."""

    admin_site: admin.AdminSite
    opts: Any
    has_view_permission: Callable[..., bool]

    def get_urls(self) -> list[URLPattern]:
        """Only its own pages."""
        pages: tuple[tuple[str, Callable[..., HttpResponse], str], ...] = (
            ("", self.overview, "changelist"),
            ("live/", self.live, "live"),
            ("report/", self.report, "report"),
            ("report.pdf", self.report_pdf, "report_pdf"),
            ("<slug:service>/", self.service, "service"),
            ("<slug:service>/live/", self.service_live, "service_live"),
            ("<slug:service>/act/<slug:action>/", self.act, "act"),
        )
        return [
            path(route, self.admin_site.admin_view(view), name=f"extraction_dashboard_{name}")
            for route, view, name in pages
        ]

    def overview(self, request: HttpRequest) -> HttpResponse:
        """The overview of all services."""
        self._require_view(request)
        return self._page(
            request,
            "overview",
            gettext("Migration dashboard"),
            board=board.gather(),
            lane=[facts.short for facts in STAGES.values()],
        )

    def live(self, request: HttpRequest) -> HttpResponse:
        """The board as JSON."""
        self._require_view(request)
        present: Board = board.gather()
        return _json(request, present)

    def service(self, request: HttpRequest, service: str) -> HttpResponse:
        """The page to lead one service from."""
        self._require_view(request)
        card, state = _card_and_state(service)
        curves = charts.of(state.canary, state.sync)
        number = request.GET.get("page", "")
        tallies = mismatches.tallies(service)
        return self._page(
            request,
            "service",
            service,
            card=card,
            known=state,
            lane=[(stage, facts.short) for stage, facts in STAGES.items()],
            explained=STAGES[Stage(card.stage)].sentence if card.position >= 0 else "",
            choices=choices.grouped(offered := choices.of(state)),
            refused=[choice for choice in offered if not choice.is_possible],
            charts=curves,
            drawn=[msgspec.to_builtins(chart) for chart in curves],
            measures=_measures(state),
            tallies=tallies,
            differing=mismatches.fields(service)[:10] if tallies else [],
            history=timeline.page(service, int(number) if number.isdecimal() and len(number) < 6 else 1),
            sections=sections.of(service),
            revision=_revision(card, state),
        )

    def service_live(self, request: HttpRequest, service: str) -> HttpResponse:
        """One service's card and curves as JSON."""
        self._require_view(request)
        card, state = _card_and_state(service)
        curves = tuple(charts.of(state.canary, state.sync))
        return _json(request, ServiceLive(card, curves, _revision(card, state)))

    def act(self, request: HttpRequest, service: str, action: str) -> HttpResponse:
        """An action: its plan before, and with a POST the action itself."""
        if not request.user.has_perm(ACT):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD", "POST"}:
            return HttpResponseNotAllowed(["GET", "POST"])
        # What is possible depends on flags and databases as they are now, not as they were two seconds ago.
        snapshot.forget()
        probe.forget()
        card, state = _card_and_state(service)
        choice = choices.find(state, action)
        if choice is None:
            raise Http404
        service_page = reverse("admin:extraction_dashboard_service", args=[service])
        form = preview.form_of(action, state, request.POST if request.method == "POST" else None)
        refusal = choice.refusal
        if request.method == "POST" and not refusal and form.is_valid():
            try:
                messages.success(request, act(service, choice, form, who=str(request.user)))
            except Refused as error:
                refusal = str(error)
            else:
                return HttpResponseRedirect(service_page)
        plan = preview.plan_of(state, choice) if not choice.refusal else None
        return self._page(
            request,
            "act",
            f"{service}: {choice.words}",
            status=INVALID if request.method == "POST" else 200,
            card=card,
            choice=choice,
            refusal=refusal,
            form=form,
            plan=plan,
            place=controller.position(state.canary) if state.canary else "",
            will_refuse=plan is not None and not all(check.holds for check in plan.plan.checks),
        )

    @heavy()
    def report(self, request: HttpRequest) -> HttpResponse:
        """The report of a period, to be read or printed."""
        self._require_view(request)
        form = forms.Period(request.GET)
        if form.is_bound and not form.is_valid():
            return self._page(request, "report", gettext("Migration report"), status=INVALID, form=form, report=None)
        begin, end = form.span()
        query = f"from={begin:%Y-%m-%d}&to={timezone.localtime(end) - report.DAY:%Y-%m-%d}"
        gathered = report.gather(begin, end)
        return self._page(request, "report", gettext("Migration report"), form=form, report=gathered, query=query)

    @heavy()
    def report_pdf(self, request: HttpRequest) -> HttpResponse:
        """The same as a PDF."""
        self._require_view(request)
        form = forms.Period(request.GET)
        if form.is_bound and not form.is_valid():
            return self._page(request, "report", gettext("Migration report"), status=INVALID, form=form, report=None)
        begin, end = form.span()
        document = pdf.pdf(report.gather(begin, end), language=get_language() or "ru")
        name = f"migration-{begin:%Y-%m-%d}-{slugify(get_language())}.pdf"
        return HttpResponse(
            document,
            content_type="application/pdf",
            headers={"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "no-store"},
        )

    def _require_view(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied

    def _page(
        self, request: HttpRequest, template: str, title: str, *, status: int = 200, **context: Any
    ) -> TemplateResponse:
        page_context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "may_act": request.user.has_perm(ACT),
            "now": timezone.now(),
            **context,
        }
        return TemplateResponse(request, f"{FOLDER}/{template}.html", page_context, status=status)


def _card_and_state(service: str) -> tuple[Card, ServiceState]:
    if service not in topology.entries():
        raise Http404
    return board.of_service(service)


def _measures(state: ServiceState) -> list[tuple[Any, float]]:
    """The evidence of each measure, the heaviest first."""
    if state.canary is None:
        return []
    measures = (
        (labels.MEASURES.get(name, name), value) for name, value in state.canary.evidence.items() if name != "all"
    )
    return sorted(measures, key=lambda measure: measure[1], reverse=True)


def _revision(card: Card, state: ServiceState) -> str:
    """A digest of what the page's other parts show; it changes when an action was done or has ended."""
    canary, verification = state.canary, state.verification
    newest = Move.objects.filter(service=card.service).values_list("id", "outcome").first()
    parts = (
        *(card.stage, card.process, card.under_way, card.share_words, card.shadow_words, card.problem, str(newest)),
        *((str(canary.id), canary.state, str(canary.step)) if canary else ()),
        *((verification.status, str(verification.compared_at)) if verification else ()),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _json(request: HttpRequest, value: msgspec.Struct) -> HttpResponse:
    """Typed JSON with an ETag (RFC 9110, section 8.8.3): an unchanged answer is not sent again."""
    body = encoder.encode(value)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Cookie, Accept-Language"}
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(body, content_type="application/json", headers=headers)
