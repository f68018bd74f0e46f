"""Admin of shadow comparisons, the dashboard, and the record of actions on data (its pages: `relocation.py`)."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from apps.core.rest.admin import ReadOnly
from apps.extraction.admin.checklist import ChecklistPages
from apps.extraction.admin.dashboard import DashboardPages
from apps.extraction.admin.relocation import MovePages
from apps.extraction.routing.shadow import mismatches
from apps.extraction.routing.shadow.models import ShadowComparison
from apps.extraction.state.models import Dashboard, Move


class DifferingField(admin.SimpleListFilter):
    """Comparisons that differ in one field."""

    title = _("field")
    parameter_name = "field"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The fields that ever differed."""
        return [(name, name) for name in sorted({row.field for row in mismatches.fields()})]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """The comparisons that differ in the chosen field."""
        return queryset.filter(fields__contains=[self.value()]) if self.value() else queryset


@admin.register(ShadowComparison)
class ShadowComparisonAdmin(ReadOnly):
    """Answers are masked: free text shows as a digest, which can be compared but not read."""

    list_display = (
        *("compared_at", "service", "method", "verdict", "differing", "primary_side", "milliseconds", "same_request"),
    )
    list_filter = ("verdict", "service", "method", DifferingField)
    search_fields = ("request_id", "trace")
    list_before_template = "admin/extraction/shadow_tallies.html"
    fields = (
        *("compared_at", "service", "method", "verdict", "differing", "noise", "asked_twice", "primary_side"),
        *("primary_ms", "other_ms", "same_request", "trace", "shown_arguments", "side_by_side"),
    )
    readonly_fields = fields

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The list, below the tallies."""
        service = request.GET.get("service__exact", request.GET.get("service", ""))
        tallied = {"tallies": mismatches.tallies(service), "differing_fields": mismatches.fields(service)}
        answer: TemplateResponse = super().changelist_view(request, {**(extra_context or {}), **tallied})
        return answer

    @admin.display(description=_("fields that differ"))
    def differing(self, obj: ShadowComparison) -> str:
        """The fields in one line."""
        return ", ".join(obj.fields) or "—"

    @admin.display(description=_("primary, other, ms"))
    def milliseconds(self, obj: ShadowComparison) -> str:
        """How long each side took."""
        return f"{localize(round(obj.primary_ms, 1))} / {localize(round(obj.other_ms, 1))}"

    @admin.display(description=_("request"))
    def same_request(self, obj: ShadowComparison) -> SafeString:
        """The request's id, with a link to all comparisons made in it."""
        changelist = reverse("admin:extraction_shadowcomparison_changelist")
        return format_html('<a href="{}?q={}">{}</a>', changelist, obj.request_id, obj.request_id)

    @admin.display(description=_("arguments, masked"))
    def shown_arguments(self, obj: ShadowComparison) -> SafeString:
        """As JSON."""
        return format_html("<pre>{}</pre>", _shown(obj.arguments))

    @admin.display(description=_("answers, masked"))
    def side_by_side(self, obj: ShadowComparison) -> SafeString:
        """Both answers beside each other."""
        other = "away" if obj.primary_side == "home" else "home"
        cells = ((obj.primary_side, _shown(obj.primary_answer)), (other, _shown(obj.other_answer)))
        columns = format_html_join(
            "", "<td style='vertical-align:top;padding-right:2em'><b>{}</b><pre>{}</pre></td>", cells
        )
        return format_html("<table><tr>{}</tr></table>", columns)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


@admin.register(Dashboard)
class DashboardAdmin(DashboardPages, ReadOnly):
    """Has pages and no records; the view permission lets people read them, `act_move` lets them act."""


@admin.register(Move)
class MoveAdmin(MovePages, ChecklistPages, ReadOnly):
    """The record of actions on each service's data; above it the stage of each service, and its pages."""

    list_display = ("started_at", "service", "verb", "outcome", "pause_ms", "attempts", "who", "reason")
    list_filter = ("service", "verb", "outcome")
    search_fields = ("who", "reason", "problem")
    list_before_template = "admin/extraction/primaries.html"
    fields = (
        *("service", "verb", "outcome", "problem", "who", "where", "reason", "started_at", "ended_at"),
        *("epoch", "attempts", "pause_ms", "shown_checks", "shown_steps", "shown_facts"),
    )
    readonly_fields = fields

    @admin.display(description=_("checks"))
    def shown_checks(self, obj: Move) -> SafeString:
        """The checks and what each saw."""
        rows = ((("✓" if check["holds"] else "✗"), check["name"], check["seen"]) for check in obj.checks)
        return format_html("<table>{}</table>", format_html_join("", _ROW, rows))

    @admin.display(description=_("steps"))
    def shown_steps(self, obj: Move) -> SafeString:
        """The steps in their order."""
        rows = ((step["step"], f"{step.get('took_ms', '?')} ms", step["detail"]) for step in obj.steps)
        return format_html("<table>{}</table>", format_html_join("", _ROW, rows))

    @admin.display(description=_("facts"))
    def shown_facts(self, obj: Move) -> SafeString:
        """The facts that the action noted."""
        return format_html("<pre>{}</pre>", _shown(obj.facts))


_ROW = "<tr><td class='pr-4'>{}</td><td class='pr-4'>{}</td><td>{}</td></tr>"
