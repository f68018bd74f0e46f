"""The only place where rows of this app become DTOs; fields are listed one by one."""

from __future__ import annotations

from typing import Any

from apps.contracts import interface, models
from apps.contracts.logic import signing, status, visibility
from apps.core.interface.context import Actor


def contract(row: models.Contract) -> interface.Contract:
    """A contract from the ORM."""
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


def listed(row: tuple[Any, ...]) -> interface.Contract:
    """A contract from `logic.listing.COLUMNS`."""
    return interface.Contract(
        id=row[0],
        number=row[1],
        status=interface.ContractStatus(row[2]),
        seller_id=row[3],
        buyer_id=row[4],
        agent_id=row[5],
        lawyer_id=row[6],
        land_plot_id=row[7],
        cadastral_number=row[8],
        price=row[9],
        currency=row[10],
        terms=row[11],
        blockers=signing.blockers(sale_document=row[12], by_seller=row[13], by_buyer=row[14], plot_taken=row[15]),
        created_at=row[16],
        updated_at=row[17],
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
    """What an actor may do with a contract that they may see."""
    return interface.ContractRights(
        contract_id=row.id,
        number=row.number,
        status=interface.ContractStatus(row.status),
        role=visibility.role_of(row, actor.id),
        may_upload=visibility.may_upload(row, actor),
        may_sign=visibility.may_sign(row, actor),
        may_manage=visibility.may_manage(row, actor),
        legal_moves=status.legal_moves(row, actor),
    )
