"""Plots: the person's own list, recording a plot, and the page of one plot."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext

from apps.contracts.interface import CONTRACTS, BadCursor, LandCategory
from apps.core.interface.errors import DomainError
from apps.core.seam.client.registry import call
from apps.portal.forms import PlotForm
from apps.portal.views.page import Page, status_of

PAGE_SIZE = 20


class Plots(Page):
    """The person's own plots, with the form to record another."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The list."""
        try:
            return self._list(PlotForm(), cursor=request.GET.get("cursor") or None)
        except BadCursor as error:
            messages.error(request, gettext(error.message))
            return redirect("portal:plots")

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Record a plot."""
        form = PlotForm(request.POST)
        if not form.is_valid():
            return self._list(form, status=422)
        fields = form.cleaned_data
        try:
            plot = call(CONTRACTS).record_plot(
                ctx=form.once(self.ctx),
                cadastral_number=fields["cadastral_number"],
                address=fields["address"],
                area_m2=fields["area_m2"],
                category=LandCategory(fields["category"]),
            )
        except DomainError as error:
            form.refuse(error)
            return self._list(form, status=status_of(error))
        messages.success(request, gettext("The plot %(number)s was recorded.") % {"number": plot.cadastral_number})
        return redirect("portal:plots")

    def _list(self, form: PlotForm, *, status: int = 200, cursor: str | None = None) -> HttpResponse:
        page = call(CONTRACTS).list_plots(ctx=self.ctx, limit=PAGE_SIZE, cursor=cursor)
        return self.show("plots.html", status=status, form=form, page=page, cursor=cursor)


class Plot(Page):
    """One plot, for its owner and the parties of its contracts."""

    def get(self, request: HttpRequest, land_plot_id: UUID) -> HttpResponseBase:
        """The plot and its contracts that the person may see."""
        plot = call(CONTRACTS).get_plot(ctx=self.ctx, land_plot_id=land_plot_id)
        contracts = call(CONTRACTS).list(ctx=self.ctx, land_plot_id=land_plot_id, limit=PAGE_SIZE)
        return self.show(
            "plot.html",
            plot=plot,
            contracts=contracts.items,
            is_mine=plot.owner_id == self.ctx.actor.id,
            names=self.names(plot.owner_id),
        )
