"""Rows as DTOs, here only; fields are listed one by one."""

from __future__ import annotations

from apps.contracts import interface, models
from apps.contracts.logic import contract_rows, signing, status, visibility
from apps.core.interface.context import Actor


def contract(row: models.Contract) -> interface.Contract:
    """A contract read by the ORM."""
    return interface.Contract(
        id=row.id,
        number=row.number,
        status=interface.ContractStatus(row.status),
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        agent_id=row.agent_id,
        lawyer_id=row.lawyer_id,
        land_plot_id=row.land_plot_id,
        cadastral_number=row.cadastral_number,
        price=row.price,
        currency=row.currency,
        terms=row.terms,
        blockers=signing.blockers(
            sale_document=row.sale_document_id is not None,
            by_seller=row.signed_by_seller,
            by_buyer=row.signed_by_buyer,
            plot_taken=row.plot_taken,
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def listed(row: contract_rows.Row) -> interface.Contract:
    """A contract read by plain SQL."""
    return interface.Contract(
        id=row.id,
        number=row.number,
        status=interface.ContractStatus(row.status),
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        agent_id=row.agent_id,
        lawyer_id=row.lawyer_id,
        land_plot_id=row.land_plot_id,
        cadastral_number=row.cadastral_number,
        price=row.price,
        currency=row.currency,
        terms=row.terms,
        blockers=signing.blockers(
            sale_document=row.has_sale_document,
            by_seller=row.signed_by_seller,
            by_buyer=row.signed_by_buyer,
            plot_taken=row.plot_taken,
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def plot(row: models.LandPlot) -> interface.LandPlot:
    """A plot."""
    return interface.LandPlot(
        id=row.id,
        cadastral_number=row.cadastral_number,
        address=row.address,
        area_m2=row.area_m2,
        category=interface.LandCategory(row.category),
        owner_id=row.owner_id,
        created_at=row.created_at,
    )


def status_change(row: models.StatusChange) -> interface.StatusChange:
    """One entry of the history."""
    return interface.StatusChange(
        status=interface.ContractStatus(row.status), at=row.at, by=row.by, comment=row.comment
    )


def rights(row: models.Contract, actor: Actor) -> interface.ContractRights:
    """An actor's rights to a contract that the actor may see."""
    return interface.ContractRights(
        contract_id=row.id,
        number=row.number,
        status=interface.ContractStatus(row.status),
        role=visibility.role_of(row, actor.id),
        may_upload=visibility.may_upload(row, actor),
        may_sign=visibility.may_sign(row, actor),
        may_manage=visibility.may_manage(row, actor),
        legal_moves=status.legal_moves(row, actor),
        filled=tuple(part for part in interface.PartyRole if getattr(row, f"{part.value}_id") is not None),
    )
