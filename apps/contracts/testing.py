"""A fake of contracts for other apps' tests: the real rules on rows that are never saved."""

from __future__ import annotations

import builtins
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import msgspec

from apps.authentication.interface import AUTHENTICATION
from apps.contracts import mapping
from apps.contracts.interface import (
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
    LandPlotNotFound,
    LandPlotPage,
    LandPlotTaken,
    NotAParty,
    NotYourPlot,
    PageSize,
    Participant,
    PartyRole,
    PlotUnderContract,
    StatusChange,
    TermsFrozen,
    UnknownParty,
)
from apps.contracts.logic import amounts, cadastral, creation, keyset, signing, visibility
from apps.contracts.logic import status as moves
from apps.contracts.models import UNDER_WAY
from apps.contracts.models import Contract as ContractRow
from apps.contracts.models import LandPlot as LandPlotRow
from apps.core.interface.context import SYSTEM, CallContext
from apps.core.interface.dto import Line, Text
from apps.core.interface.errors import Forbidden
from apps.core.interface.events import EventEnvelope, EventReceipt
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentStored, DocumentType
from apps.signatures.interface import SignatureAccepted
from apps.workflow.interface import StageStarted, WorkflowCompleted

T = TypeVar("T", LandPlot, Contract)
PROFESSIONS = (PartyRole.AGENT, PartyRole.LAWYER)


class FakeContracts:
    """Implements `ContractsService` in memory."""

    def __init__(self) -> None:
        self._plots: dict[UUID, LandPlotRow] = {}
        self._contracts: dict[UUID, ContractRow] = {}
        self._history: dict[UUID, list[StatusChange]] = {}
        self._signers: dict[UUID, set[tuple[UUID, UUID]]] = {}

    def record_plot(
        self,
        *,
        ctx: CallContext,
        cadastral_number: CadastralNumber,
        address: Line,
        area_m2: Decimal,
        category: LandCategory = LandCategory.SETTLEMENT,
    ) -> LandPlot:
        number = cadastral.normalised(cadastral_number)
        if ctx.actor.id is None:
            raise Forbidden
        for plot in self._plots.values():
            if (plot.owner_id, plot.cadastral_number) == (ctx.actor.id, number):
                raise LandPlotTaken(land_plot_id=plot.id)
        row = LandPlotRow(
            cadastral_number=number,
            address=address,
            area_m2=amounts.area(area_m2),
            category=category,
            owner_id=ctx.actor.id,
            created_at=datetime.now(UTC),
        )
        self._plots[row.id] = row
        return mapping.plot(row)

    def get_plot(self, *, ctx: CallContext, land_plot_id: UUID) -> LandPlot:
        row = self._plots.get(land_plot_id)
        if row is None or not self._sees_plot(ctx, row):
            raise LandPlotNotFound
        return mapping.plot(row)

    def list_plots(self, *, ctx: CallContext, limit: PageSize = 50, cursor: CursorText | None = None) -> LandPlotPage:
        sees_all = ctx.actor.has(*visibility.SEES_ALL)
        plots = [mapping.plot(row) for row in self._plots.values() if sees_all or row.owner_id == ctx.actor.id]
        page, next_cursor = _page(plots, limit, cursor)
        return LandPlotPage(items=tuple(page), next_cursor=next_cursor)

    def create(
        self,
        *,
        ctx: CallContext,
        buyer_id: UUID,
        land_plot_id: UUID,
        price: Decimal,
        seller_id: UUID | None = None,
        currency: Currency = "RUB",
        terms: Text = "",
        agent_id: UUID | None = None,
        lawyer_id: UUID | None = None,
    ) -> Contract:
        seller = seller_id or ctx.actor.id
        if seller is None:
            raise UnknownParty(role=PartyRole.SELLER)
        now = datetime.now(UTC)
        row = ContractRow(
            number=f"{creation.number_prefix(now)}{len(self._contracts) + 1:06d}",
            status=ContractStatus.DRAFT,
            seller_id=seller,
            buyer_id=buyer_id,
            agent_id=agent_id,
            lawyer_id=lawyer_id,
            land_plot_id=land_plot_id,
            price=amounts.price(price),
            currency=currency,
            terms=terms,
            created_at=now,
            updated_at=now,
        )
        creation.require_different_people(row)
        if visibility.role_of(row, ctx.actor.id) is None and not ctx.actor.has(*visibility.ACTS_ON_ALL):
            raise NotAParty
        self._require_active_people(ctx, row)
        plot = self._plots.get(land_plot_id)
        if plot is None:
            raise LandPlotNotFound
        if plot.owner_id != seller:
            raise NotYourPlot if plot.owner_id == ctx.actor.id else LandPlotNotFound
        row.cadastral_number = plot.cadastral_number
        self._contracts[row.id], self._signers[row.id] = row, set()
        self._history[row.id] = []
        self._note(row, ctx.actor.id, "")
        return mapping.contract(row)

    def get(self, *, ctx: CallContext, contract_id: UUID) -> Contract:
        return mapping.contract(self._visible(ctx, contract_id))

    def list(
        self,
        *,
        ctx: CallContext,
        status: ContractStatus | None = None,
        land_plot_id: UUID | None = None,
        limit: PageSize = 50,
        cursor: CursorText | None = None,
    ) -> ContractPage:
        contracts = [
            mapping.contract(row)
            for row in self._contracts.values()
            if visibility.sees(row, ctx.actor)
            and status in {None, row.status}
            and land_plot_id in {None, row.land_plot_id}
        ]
        page, next_cursor = _page(contracts, limit, cursor)
        return ContractPage(items=tuple(page), next_cursor=next_cursor)

    def history(self, *, ctx: CallContext, contract_id: UUID) -> tuple[StatusChange, ...]:
        return tuple(self._history[self._visible(ctx, contract_id).id])

    def participants(self, *, ctx: CallContext, contract_id: UUID) -> tuple[Participant, ...]:
        return creation.participants(self._visible(ctx, contract_id))

    def rights(self, *, ctx: CallContext, contract_ids: tuple[UUID, ...]) -> tuple[ContractRights, ...]:
        rows = [self._contracts[contract_id] for contract_id in contract_ids if contract_id in self._contracts]
        return tuple(mapping.rights(row, ctx.actor) for row in rows if visibility.sees(row, ctx.actor))

    def change_terms(
        self, *, ctx: CallContext, contract_id: UUID, price: Decimal | None = None, terms: Text | None = None
    ) -> Contract:
        amount = None if price is None else amounts.price(price)
        row = self._visible(ctx, contract_id)
        if not visibility.may_manage(row, ctx.actor):
            raise Forbidden
        if row.status != ContractStatus.DRAFT:
            raise TermsFrozen
        if amount in {None, row.price} and terms in {None, row.terms}:
            return mapping.contract(row)
        row.price = row.price if amount is None else amount
        row.terms = row.terms if terms is None else terms
        row.updated_at = datetime.now(UTC)
        signing.void_document(row, row.updated_at)
        return mapping.contract(row)

    def change_status(
        self, *, ctx: CallContext, contract_id: UUID, status: ContractStatus, comment: Text = ""
    ) -> Contract:
        row = self._visible(ctx, contract_id)
        moves.require_legal(row, status, ctx.actor)
        was_under_way = row.status in UNDER_WAY
        self._move(row, status, ctx.actor.id, comment)
        if was_under_way and status == ContractStatus.CANCELLED:
            self._release_plot(row)
        return mapping.contract(row)

    def receive(self, *, ctx: CallContext, event: EventEnvelope) -> EventReceipt:
        payload, effect = event.payload, "ignored"
        if event.type == DocumentStored.TYPE:
            effect = self._document(msgspec.json.decode(payload, type=DocumentStored))
        elif event.type == SignatureAccepted.TYPE:
            effect = self._signature(msgspec.json.decode(payload, type=SignatureAccepted))
        elif event.type == StageStarted.TYPE:
            started = msgspec.json.decode(payload, type=StageStarted)
            if started.stage == "registration":
                moved = (ContractStatus.SIGNED, ContractStatus.IN_REGISTRATION)
                effect = self._follow(started.contract_id, *moved, by=ctx.actor.id)
        elif event.type == WorkflowCompleted.TYPE:
            completed = msgspec.json.decode(payload, type=WorkflowCompleted)
            moved = (ContractStatus.IN_REGISTRATION, ContractStatus.COMPLETED)
            effect = self._follow(completed.contract_id, *moved, by=ctx.actor.id)
        else:
            raise LookupError(event.type)
        return EventReceipt(event_id=event.event_id, effect=effect)

    def _document(self, event: DocumentStored) -> str:
        row = self._contracts.get(event.contract_id)
        if row is None or event.document_type != DocumentType.SALE_CONTRACT or row.status not in visibility.SIGNABLE:
            return "ignored"
        if row.sale_document_at is None or event.created_at > row.sale_document_at:
            row.sale_document_id, row.sale_document_at = event.document_id, event.created_at
        return self._advance(row)

    def _signature(self, event: SignatureAccepted) -> str:
        row = self._contracts.get(event.contract_id)
        if row is None:
            return "ignored"
        self._signers[row.id].add((event.document_id, event.signer_id))
        return self._advance(row)

    def _follow(self, contract_id: UUID, expected: ContractStatus, target: ContractStatus, *, by: UUID | None) -> str:
        row = self._contracts.get(contract_id)
        if row is None or row.status != expected:
            return "ignored"
        self._move(row, target, by, "")
        return target.value

    def _advance(self, row: ContractRow) -> str:
        signers = {signer for document, signer in self._signers[row.id] if document == row.sale_document_id}
        row.signed_by_seller, row.signed_by_buyer = row.seller_id in signers, row.buyer_id in signers
        if row.status not in visibility.SIGNABLE:
            return "noted"
        row.plot_taken = signing.is_signed(row) and self._plot_is_taken(row)
        if signing.is_signed(row) and not row.plot_taken:
            self._move(row, ContractStatus.SIGNED, None, "")
            return "signed"
        if row.status == ContractStatus.DRAFT and (row.signed_by_seller or row.signed_by_buyer):
            self._move(row, ContractStatus.AWAITING_SIGNATURES, None, "")
            return "awaiting_signatures"
        return "noted"

    def _move(self, row: ContractRow, status: ContractStatus, by: UUID | None, comment: str) -> None:
        if status in UNDER_WAY and row.status not in UNDER_WAY and self._plot_is_taken(row):
            raise PlotUnderContract
        row.status = status
        self._note(row, by, comment)

    def _plot_is_taken(self, row: ContractRow) -> bool:
        others = (other for other in self._contracts.values() if other.id != row.id and other.status in UNDER_WAY)
        return any(other.cadastral_number == row.cadastral_number for other in others)

    def _release_plot(self, cancelled: ContractRow) -> None:
        waiting = [
            row
            for row in self._contracts.values()
            if row.cadastral_number == cancelled.cadastral_number
            and row.status in visibility.SIGNABLE
            and signing.is_signed(row)
        ]
        if waiting:
            self._advance(waiting[0])  # in the order in which they were drawn up

    def _note(self, row: ContractRow, by: UUID | None, comment: str) -> None:
        row.updated_at = datetime.now(UTC)
        entry = StatusChange(status=ContractStatus(row.status), at=row.updated_at, by=by, comment=comment)
        self._history[row.id].append(entry)

    def _visible(self, ctx: CallContext, contract_id: UUID) -> ContractRow:
        row = self._contracts.get(contract_id)
        if row is None or not visibility.sees(row, ctx.actor):
            raise ContractNotFound
        return row

    def _sees_plot(self, ctx: CallContext, plot: LandPlotRow) -> bool:
        if ctx.actor.has(*visibility.SEES_ALL) or plot.owner_id == ctx.actor.id:
            return True
        of_plot = (row for row in self._contracts.values() if row.land_plot_id == plot.id)
        return any(visibility.sees(row, ctx.actor) for row in of_plot)

    def _require_active_people(self, ctx: CallContext, row: ContractRow) -> None:
        people = creation.participants(row)
        cards = call(AUTHENTICATION).cards(
            ctx=ctx.as_actor(SYSTEM), user_ids=tuple(participant.user_id for participant in people)
        )
        by_id = {card.id: card for card in cards}
        for participant in people:
            card = by_id.get(participant.user_id)
            if card is None or (participant.role in PROFESSIONS and participant.role.value not in card.roles):
                raise UnknownParty(role=participant.role)


def _page(items: builtins.list[T], limit: int, cursor: str | None) -> builtins.tuple[builtins.list[T], str | None]:
    ordered = sorted(items, key=lambda item: (item.created_at, item.id), reverse=True)
    if cursor is not None:
        ordered = [item for item in ordered if (item.created_at, item.id) < keyset.decode(cursor)]
    next_cursor = keyset.encode(ordered[limit - 1].created_at, ordered[limit - 1].id) if len(ordered) > limit else None
    return ordered[:limit], next_cursor
