"""Plots and contracts over REST."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from apps.contracts.interface import (
    CONTRACTS,
    CadastralNumber,
    Contract,
    ContractNotFound,
    ContractPage,
    ContractRights,
    ContractStatus,
    Currency,
    CursorText,
    LandCategory,
    LandPlot,
    LandPlotPage,
    PageSize,
    StatusChange,
)
from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Line, RequestBody, Text
from apps.core.rest.endpoint import View, endpoint, fields_of
from apps.core.seam.client.registry import call


class NewLandPlot(RequestBody):
    """A plot to record. The area is in square metres."""

    cadastral_number: CadastralNumber
    address: Line
    area_m2: Decimal
    category: LandCategory = LandCategory.SETTLEMENT


class NewContract(RequestBody):
    """A contract to create; without `seller_id` the caller is the seller. Send the price as a string."""

    buyer_id: UUID
    land_plot_id: UUID
    price: Decimal
    seller_id: UUID | None = None
    currency: Currency = "RUB"
    terms: Text = ""
    agent_id: UUID | None = None
    lawyer_id: UUID | None = None


class TermsChange(RequestBody):
    """Changes to a draft."""

    price: Decimal | None = None
    terms: Text | None = None


class StatusMove(RequestBody):
    """The status to move a contract to, and a comment."""

    status: ContractStatus
    comment: Text = ""


class PageQuery(Dto):
    """The page to list. `cursor` is the `next_cursor` of the page before."""

    limit: PageSize = 50
    cursor: CursorText | None = None


class ContractQuery(PageQuery):
    """The contracts and the page to list."""

    status: ContractStatus | None = None
    land_plot_id: UUID | None = None


class LandPlots(View):
    """land-plots."""

    @endpoint()
    def get(self, ctx: CallContext, query: PageQuery) -> LandPlotPage:
        """The caller's own plots, newest first."""
        return call(CONTRACTS).list_plots(ctx=ctx, **fields_of(query))

    @endpoint(status=201)
    def post(self, ctx: CallContext, body: NewLandPlot) -> LandPlot:
        """Record a plot."""
        return call(CONTRACTS).record_plot(ctx=ctx, **fields_of(body))


class LandPlotDetail(View):
    """land-plots/{id}."""

    @endpoint()
    def get(self, ctx: CallContext, land_plot_id: UUID) -> LandPlot:
        """A plot."""
        return call(CONTRACTS).get_plot(ctx=ctx, land_plot_id=land_plot_id)


class Contracts(View):
    """contracts."""

    @endpoint()
    def get(self, ctx: CallContext, query: ContractQuery) -> ContractPage:
        """The contracts that the caller may see, newest first."""
        return call(CONTRACTS).list(ctx=ctx, **fields_of(query))

    @endpoint(status=201)
    def post(self, ctx: CallContext, body: NewContract) -> Contract:
        """Create a contract; its workflow starts by itself."""
        return call(CONTRACTS).create(ctx=ctx, **fields_of(body))


class ContractDetail(View):
    """contracts/{id}."""

    @endpoint()
    def get(self, ctx: CallContext, contract_id: UUID) -> Contract:
        """A contract."""
        return call(CONTRACTS).get(ctx=ctx, contract_id=contract_id)

    @endpoint()
    def patch(self, ctx: CallContext, contract_id: UUID, body: TermsChange) -> Contract:
        """Change a draft."""
        return call(CONTRACTS).change_terms(ctx=ctx, contract_id=contract_id, **fields_of(body))


class ContractStatusView(View):
    """contracts/{id}/status."""

    @endpoint()
    def get(self, ctx: CallContext, contract_id: UUID) -> ContractRights:
        """A contract's status, and the caller's rights and moves."""
        rights = call(CONTRACTS).rights(ctx=ctx, contract_ids=(contract_id,))
        if not rights:
            raise ContractNotFound
        return rights[0]

    @endpoint()
    def patch(self, ctx: CallContext, contract_id: UUID, body: StatusMove) -> Contract:
        """Change a contract's status."""
        return call(CONTRACTS).change_status(ctx=ctx, contract_id=contract_id, **fields_of(body))


class ContractHistory(View):
    """contracts/{id}/history."""

    @endpoint()
    def get(self, ctx: CallContext, contract_id: UUID) -> tuple[StatusChange, ...]:
        """The status history of a contract, oldest first."""
        return call(CONTRACTS).history(ctx=ctx, contract_id=contract_id)
