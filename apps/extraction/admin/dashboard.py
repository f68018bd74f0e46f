"""The dashboard's pages: everything at a glance, a page to lead each service from, an action's plan, and the report of a period.

Who may view looks; superusers act, by POST, from the page that shows the plan.
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
from apps.extraction.dashboard.cards import Card, Known
from apps.extraction.dashboard.charts import Chart
from apps.extraction.dashboard.submission import Refused, act
from apps.extraction.routing.canary import controller
from apps.extraction.routing.shadow import mismatches
from apps.extraction.state.models import Move
from apps.extraction.state.phases import STAGES
from apps.extraction.state.stages import Stage

FOLDER = "admin/extraction/dashboard"
INVALID = 422
encoder = msgspec.json.Encoder(decimal_format="number")


class ServiceLive(msgspec.Struct, frozen=True):
    """What a service's page asks for each two seconds. Another `revision` means that its other parts have changed as well."""

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
        """Every service at a glance."""
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
        found: Board = board.gather()
        return _json(request, found)

    def service(self, request: HttpRequest, service: str) -> HttpResponse:
        """The page to lead one service from."""
        self._require_view(request)
        card, known = _known(service)
        curves = charts.of(known.canary, known.sync)
        number = request.GET.get("page", "")
        tallies = mismatches.tallies(service)
        return self._page(
            request,
            "service",
            service,
            card=card,
            known=known,
            lane=[(stage, facts.short) for stage, facts in STAGES.items()],
            explained=STAGES[Stage(card.stage)].sentence if card.position >= 0 else "",
            choices=choices.grouped(found := choices.of(known)),
            refused=[choice for choice in found if not choice.is_possible],
            charts=curves,
            drawn=[msgspec.to_builtins(chart) for chart in curves],
            measures=_measures(known),
            tallies=tallies,
            differing=mismatches.fields(service)[:10] if tallies else [],
            history=timeline.page(service, int(number) if number.isdecimal() and len(number) < 6 else 1),
            sections=sections.of(service),
            revision=_revision(card, known),
        )

    def service_live(self, request: HttpRequest, service: str) -> HttpResponse:
        """One service's card and curves as JSON."""
        self._require_view(request)
        card, known = _known(service)
        curves = tuple(charts.of(known.canary, known.sync))
        return _json(request, ServiceLive(card, curves, _revision(card, known)))

    def act(self, request: HttpRequest, service: str, action: str) -> HttpResponse:
        """An action: its plan before, and with a POST the action itself."""
        if not request.user.is_superuser:
            raise PermissionDenied
        if request.method not in {"GET", "HEAD", "POST"}:
            return HttpResponseNotAllowed(["GET", "POST"])
        # What is possible is decided by how flags and databases are now, not by a look two seconds ago.
        snapshot.forget()
        probe.forget()
        card, known = _known(service)
        choice = choices.find(known, action)
        if choice is None:
            raise Http404
        here = reverse("admin:extraction_dashboard_service", args=[service])
        form = preview.form_of(action, known, request.POST if request.method == "POST" else None)
        refusal = choice.refusal
        if request.method == "POST" and not refusal and form.is_valid():
            try:
                messages.success(request, act(service, choice, form, who=str(request.user)))
            except Refused as error:
                refusal = str(error)
            else:
                return HttpResponseRedirect(here)
        plan = preview.plan_of(known, choice) if not choice.refusal else None
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
            place=controller.position(known.canary) if known.canary else "",
            will_refuse=plan is not None and not all(check.holds for check in plan.plan.checks),
        )

    def report(self, request: HttpRequest) -> HttpResponse:
        """What happened in a period, to be read or printed."""
        self._require_view(request)
        form = forms.Period(request.GET)
        if form.is_bound and not form.is_valid():
            return self._page(request, "report", gettext("Migration report"), status=INVALID, form=form, report=None)
        begin, end = form.span()
        query = f"from={begin:%Y-%m-%d}&to={timezone.localtime(end) - report.DAY:%Y-%m-%d}"
        gathered = report.gather(begin, end)
        return self._page(request, "report", gettext("Migration report"), form=form, report=gathered, query=query)

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
        given = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "may_act": request.user.is_superuser,
            "now": timezone.now(),
            **context,
        }
        return TemplateResponse(request, f"{FOLDER}/{template}.html", given, status=status)


def _known(service: str) -> tuple[Card, Known]:
    if service not in topology.entries():
        raise Http404
    return board.one(service)


def _measures(known: Known) -> list[tuple[Any, float]]:
    """The evidence of each measure, the heaviest first."""
    if known.canary is None:
        return []
    found = ((labels.MEASURES.get(name, name), value) for name, value in known.canary.evidence.items() if name != "all")
    return sorted(found, key=lambda pair: pair[1], reverse=True)


def _revision(card: Card, known: Known) -> str:
    """What the page's other parts are made of: another one when anything was done or has ended."""
    canary, verification = known.canary, known.verification
    newest = Move.objects.filter(service=card.service).values_list("id", "outcome").first()
    parts = (
        *(card.stage, card.process, card.under_way, card.share_words, card.shadow_words, card.problem, str(newest)),
        *((str(canary.id), canary.state, str(canary.step)) if canary else ()),
        *((verification.status, str(verification.compared_at)) if verification else ()),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _json(request: HttpRequest, value: msgspec.Struct) -> HttpResponse:
    """Typed JSON with an ETag (RFC 9110, section 8.8.3): what has not changed is not sent again."""
    body = encoder.encode(value)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Cookie, Accept-Language"}
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(body, content_type="application/json", headers=headers)
