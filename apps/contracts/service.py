"""Contracts in this process: scope, transaction, logic, DTO."""

from __future__ import annotations

import builtins
from decimal import Decimal
from uuid import UUID

from django.db.models import Q
from django.db.utils import IntegrityError
from django.utils import timezone

from apps.authentication.interface import AUTHENTICATION, PersonCard
from apps.contracts import handlers, mapping
from apps.contracts.interface import (
    CadastralNumber,
    Contract,
    ContractCreated,
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
from apps.contracts.logic import amounts, cadastral, contract_rows, creation, keyset, signing, transitions, visibility
from apps.contracts.logic import status as moves
from apps.contracts.models import UNDER_WAY
from apps.contracts.models import Contract as ContractRow
from apps.contracts.models import LandPlot as LandPlotRow
from apps.core.database.primaries import database_of
from apps.core.ids import new_id
from apps.core.interface.context import Actor, CallContext
from apps.core.interface.dto import Line, Text
from apps.core.interface.errors import Forbidden
from apps.core.interface.events import ReceivesEvents
from apps.core.seam.client.registry import call
from apps.core.seam.server.commands import command

# A role in a contract that only people of that profession take.
PROFESSIONS = (PartyRole.AGENT, PartyRole.LAWYER)


class Contracts(ReceivesEvents):
    """Implements `ContractsService`."""

    handlers = handlers.HANDLERS

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
        row = LandPlotRow(
            cadastral_number=number,
            address=address,
            area_m2=amounts.area(area_m2),
            category=category,
            owner_id=ctx.actor.id,
            created_at=timezone.now(),
        )
        try:
            with command(ctx) as work:
                row.save()
                return work.finish(mapping.plot(row))
        except IntegrityError as error:
            existing = LandPlotRow.objects.filter(owner_id=ctx.actor.person, cadastral_number=number).first()
            if existing is None:
                raise
            raise LandPlotTaken(land_plot_id=existing.id) from error

    def get_plot(self, *, ctx: CallContext, land_plot_id: UUID) -> LandPlot:
        row = LandPlotRow.objects.filter(id=land_plot_id).first()
        if row is None or not _sees_plot(ctx.actor, row):
            raise LandPlotNotFound
        return mapping.plot(row)

    def list_plots(self, *, ctx: CallContext, limit: PageSize = 50, cursor: CursorText | None = None) -> LandPlotPage:
        plots = LandPlotRow.objects.order_by("-created_at", "-id")
        if not ctx.actor.has(*visibility.SEES_ALL):
            plots = plots.filter(owner_id=ctx.actor.person)
        if cursor is not None:
            at, last = keyset.decode(cursor)
            plots = plots.filter(Q(created_at__lte=at), ~Q(created_at=at, id__gte=last))
        rows = list(plots[: limit + 1])
        next_cursor = keyset.encode(rows[limit - 1].created_at, rows[limit - 1].id) if len(rows) > limit else None
        return LandPlotPage(items=tuple(mapping.plot(row) for row in rows[:limit]), next_cursor=next_cursor)

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
        row = ContractRow(
            id=new_id(),
            seller_id=seller,
            buyer_id=buyer_id,
            agent_id=agent_id,
            lawyer_id=lawyer_id,
            land_plot_id=land_plot_id,
            price=amounts.price(price),
            currency=currency,
            terms=terms,
        )
        creation.require_different_people(row)
        if visibility.role_of(row, ctx.actor.id) is None and not ctx.actor.has(*visibility.ACTS_ON_ALL):
            raise NotAParty
        people = tuple(participant.user_id for participant in creation.participants(row))
        _require_active_people(row, call(AUTHENTICATION).cards(ctx=ctx, user_ids=people))
        row.cadastral_number = _plot_of(ctx, seller, land_plot_id)
        with command(ctx) as work:
            creation.insert(row, by=ctx.actor.id, at=timezone.now(), alias=work.alias)
            created = ContractCreated(contract_id=row.id, number=row.number, participants=creation.participants(row))
            work.emit(created, aggregate_id=row.id)
            return work.finish(mapping.contract(row))

    def get(self, *, ctx: CallContext, contract_id: UUID) -> Contract:
        row = contract_rows.find(database_of("contracts"), contract_id)
        contract = None if row is None else mapping.listed(row)
        if contract is None or not visibility.sees(contract, ctx.actor):
            raise ContractNotFound
        return contract

    def list(
        self,
        *,
        ctx: CallContext,
        status: ContractStatus | None = None,
        land_plot_id: UUID | None = None,
        limit: PageSize = 50,
        cursor: CursorText | None = None,
    ) -> ContractPage:
        sees_all = ctx.actor.has(*visibility.SEES_ALL)
        if not sees_all and ctx.actor.id is None:
            return ContractPage(items=(), next_cursor=None)
        rows = contract_rows.rows(
            alias=database_of("contracts"),
            person=None if sees_all else ctx.actor.id,
            status=status,
            land_plot_id=land_plot_id,
            limit=limit + 1,
            cursor=cursor,
        )
        items = tuple(mapping.listed(row) for row in rows[:limit])
        next_cursor = keyset.encode(items[-1].created_at, items[-1].id) if len(rows) > limit else None
        return ContractPage(items=items, next_cursor=next_cursor)

    def history(self, *, ctx: CallContext, contract_id: UUID) -> tuple[StatusChange, ...]:
        row = _visible(ctx, contract_id)
        return tuple(mapping.status_change(change) for change in row.history.all())

    def participants(self, *, ctx: CallContext, contract_id: UUID) -> tuple[Participant, ...]:
        return creation.participants(_visible(ctx, contract_id))

    def rights(self, *, ctx: CallContext, contract_ids: tuple[UUID, ...]) -> tuple[ContractRights, ...]:
        rows = [row for row in ContractRow.objects.filter(id__in=contract_ids) if visibility.sees(row, ctx.actor)]
        return tuple(mapping.rights(row, ctx.actor) for row in rows)

    def change_terms(
        self, *, ctx: CallContext, contract_id: UUID, price: Decimal | None = None, terms: Text | None = None
    ) -> Contract:
        amount = None if price is None else amounts.price(price)
        with command(ctx) as work:
            row = _locked(ctx, contract_id)
            if not visibility.may_manage(row, ctx.actor):
                raise Forbidden
            if row.status != ContractStatus.DRAFT:
                raise TermsFrozen
            if amount in {None, row.price} and terms in {None, row.terms}:
                return work.finish(mapping.contract(row))  # a change of nothing voids nothing
            row.price = row.price if amount is None else amount
            row.terms = row.terms if terms is None else terms
            row.updated_at = timezone.now()
            signing.void_document(row, row.updated_at)
            row.save()
            return work.finish(mapping.contract(row))

    def change_status(
        self, *, ctx: CallContext, contract_id: UUID, status: ContractStatus, comment: Text = ""
    ) -> Contract:
        try:
            with command(ctx) as work:
                row = _locked(ctx, contract_id)
                moves.require_legal(row, status, ctx.actor)
                was_under_way = row.status in UNDER_WAY
                transitions.move(work, row, status, by=ctx.actor.id, comment=comment)
                if was_under_way and status == ContractStatus.CANCELLED:
                    transitions.release_plot(work, row)
                return work.finish(mapping.contract(row))
        except IntegrityError as error:  # two contracts for one plot changed status at the same time
            raise PlotUnderContract from error


def _sees_plot(actor: Actor, plot: LandPlotRow) -> bool:
    if actor.has(*visibility.SEES_ALL) or (actor.id is not None and plot.owner_id == actor.id):
        return True
    return ContractRow.objects.filter(land_plot=plot, parties__user_id=actor.person).exists()


def _visible(ctx: CallContext, contract_id: UUID) -> ContractRow:
    row = ContractRow.objects.filter(id=contract_id).first()
    if row is None or not visibility.sees(row, ctx.actor):
        raise ContractNotFound
    return row


def _locked(ctx: CallContext, contract_id: UUID) -> ContractRow:
    row = transitions.locked(contract_id)
    if row is None or not visibility.sees(row, ctx.actor):
        raise ContractNotFound
    return row


def _plot_of(ctx: CallContext, seller: UUID, land_plot_id: UUID) -> str:
    """The cadastral number of a plot that the seller recorded.

    Raises: LandPlotNotFound; NotYourPlot for another person's plot that the actor may see.
    """
    plot = creation.plot(database_of("contracts"), land_plot_id)
    if plot is None:
        raise LandPlotNotFound
    owner, number = plot
    if owner != seller:
        if owner != ctx.actor.id and not ctx.actor.has(*visibility.SEES_ALL):
            raise LandPlotNotFound
        raise NotYourPlot
    return cadastral.one_spelling(number)


def _require_active_people(row: ContractRow, cards: builtins.tuple[PersonCard, ...]) -> None:
    by_id = {card.id: card for card in cards}
    for participant in creation.participants(row):
        card = by_id.get(participant.user_id)
        if card is None or (participant.role in PROFESSIONS and participant.role.value not in card.roles):
            raise UnknownParty(role=participant.role)
