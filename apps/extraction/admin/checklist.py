"""The admin's page of a service's checklist: items and reasons, checking again, signing, overrides by two people."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from celery import current_app
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext

from apps.core import topology
from apps.core.rest.admin import ReadOnly
from apps.extraction.decommission import overrides
from apps.extraction.decommission.checklist import ITEMS
from apps.extraction.decommission.items import sign_offs
from apps.extraction.decommission.models import ChecklistResult, ItemState, Override, SignOff
from apps.extraction.decommission.results import run, standing
from apps.extraction.state.models import ACT


class ChecklistPages:
    """Mixin of the admin of `Move`: a page per service, for those who may act."""

    admin_site: admin.AdminSite

    def get_urls(self) -> list[URLPattern]:
        """The page before the records'."""
        view = self.admin_site.admin_view(self.checklist_page)
        page = path("checklist/<slug:service>/", view, name="extraction_checklist")
        urls: list[URLPattern] = super().get_urls()  # type: ignore[misc]  # ModelAdmin's, which this is mixed into
        return [page, *urls]

    def checklist_page(self, request: HttpRequest, service: str) -> HttpResponse:
        """Show the checklist; with a POST request a check by the worker, sign, or take a step of an override."""
        if not request.user.has_perm(ACT):
            raise PermissionDenied
        if service not in topology.entries():
            raise Http404
        if request.method == "POST":
            _act(request, service)
            return HttpResponseRedirect(reverse("admin:extraction_checklist", args=[service]))
        items = standing(service)
        labels = dict(ItemState.choices)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Checklist: %(service)s") % {"service": service},
            "service": service,
            "rows": [(item, labels[ItemState(item.state)], _shown(item.evidence)) for item in items],
            "failing": sum(not item.holds and not item.is_overridden for item in items),
            "signed": list(sign_offs.LASTS),
            "titles": [(item.name, item.title) for item in ITEMS.values()],
            "waiting": [
                (override, override.asked_by.casefold() != _who(request).casefold())
                for override in overrides.waiting(service)
            ],
            "sign_offs": SignOff.objects.filter(service=service)[:10],
            "passed_over": Override.objects.filter(service=service, confirmed_at__isnull=False)[:10],
            "opts": ChecklistResult._meta,
        }
        return TemplateResponse(request, "admin/extraction/checklist.html", context)


def _act(request: HttpRequest, service: str) -> None:
    posted = request.POST
    actions = {"check": _ask_check, "sign": _sign, "ask": _ask_override, "confirm": _confirm}
    try:
        actions[posted.get("action", "")](request, service)
    except KeyError:
        raise Http404 from None
    except (overrides.NotOverridden, sign_offs.NotSigned) as error:
        messages.error(request, str(error))


def _ask_check(request: HttpRequest, service: str) -> None:
    """Ask the worker, which has the connections to the databases and the time."""
    item = request.POST.get("item", "")
    if item and item not in ITEMS:
        raise Http404
    current_app.send_task("extraction.check", args=[service, [item] if item else []], queue="clock", ignore_result=True)
    messages.success(request, gettext("Asked for; the page shows what was found when it is loaded again."))


def _sign(request: HttpRequest, service: str) -> None:
    posted = request.POST
    days = posted.get("keep_days", "")
    sign_offs.sign_off(
        service,
        posted.get("item", ""),
        _who(request),
        posted.get("statement", ""),
        int(days) if days.isdecimal() else None,
    )
    # Checked at once: this check reads the control database alone.
    run(service, [posted.get("item", "")])
    messages.success(request, gettext("Signed."))


def _ask_override(request: HttpRequest, service: str) -> None:
    posted = request.POST
    overrides.ask(service, posted.get("item", ""), _who(request), "admin", posted.get("reason", ""), tuple(ITEMS))
    messages.success(request, gettext("Asked for; another administrator has to confirm it within a day."))


def _confirm(request: HttpRequest, service: str) -> None:
    posted = request.POST
    try:
        override_id = UUID(posted.get("override", ""))
    except ValueError:
        raise Http404 from None
    if not Override.objects.filter(id=override_id, service=service).exists():
        raise Http404
    overrides.confirm(override_id, _who(request), posted.get("reason", ""))
    messages.success(request, gettext("Confirmed; it counts once, within a day."))


def _who(request: HttpRequest) -> str:
    return str(getattr(request.user, "email", ""))[:254]


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) if value else ""


@admin.register(ChecklistResult)
class ChecklistResultAdmin(ReadOnly):
    """Every check that was made, with its evidence."""

    list_display = ("checked_at", "service", "item", "state", "reason", "took_ms")
    list_filter = ("service", "item", "state")
    search_fields = ("reason",)


@admin.register(SignOff)
class SignOffAdmin(ReadOnly):
    """The sign-offs."""

    list_display = ("signed_at", "service", "item", "who", "statement", "keep_days", "valid_until")
    list_filter = ("service", "item")
    search_fields = ("who", "statement")


@admin.register(Override)
class OverrideAdmin(ReadOnly):
    """The overrides, and the actions that used them."""

    list_display = (
        "asked_at",
        "service",
        "item",
        "asked_by",
        "asked_reason",
        "confirmed_by",
        "confirmed_at",
        "used_at",
    )
    list_filter = ("service", "item")
    search_fields = ("asked_by", "confirmed_by", "asked_reason")
