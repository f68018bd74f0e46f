"""Changing a contract's status, with history entry and event, inside a command's transaction."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from apps.contracts.interface import ContractStatus, ContractStatusChanged, PlotUnderContract
from apps.contracts.logic import cadastral
from apps.contracts.logic.creation import participants
from apps.contracts.logic.signing import is_signed
from apps.contracts.logic.visibility import SIGNABLE
from apps.contracts.models import UNDER_WAY, Contract, StatusChange
from apps.core.seam.server.commands import Work


def locked(contract_id: UUID) -> Contract | None:
    """The contract, locked until the transaction ends; this lock orders its events."""
    return Contract.objects.select_for_update().filter(id=contract_id).first()


def plot_is_taken(contract: Contract) -> bool:
    """Whether another contract for the same plot is signed or in registration."""
    others = Contract.objects.filter(_of_plot(contract), status__in=UNDER_WAY)
    return others.exclude(id=contract.id).exists()


def _of_plot(contract: Contract) -> Q:
    return cadastral.same_plot(contract.cadastral_number)


def move(work: Work, contract: Contract, status: ContractStatus, *, by: UUID | None, comment: str = "") -> None:
    """Change the status of a locked contract. Raises: PlotUnderContract."""
    if status in UNDER_WAY and contract.status not in UNDER_WAY and plot_is_taken(contract):
        raise PlotUnderContract
    previous = ContractStatus(contract.status)
    contract.status = status
    _save(contract, by=by, comment=comment, at=timezone.now())
    work.emit(
        ContractStatusChanged(
            contract_id=contract.id,
            number=contract.number,
            previous=previous,
            status=status,
            comment=comment,
            participants=participants(contract),
        ),
        aggregate_id=contract.id,
    )


def _save(contract: Contract, *, by: UUID | None, comment: str, at: datetime) -> None:
    contract.updated_at = at
    contract.save()
    StatusChange.objects.create(contract=contract, status=contract.status, at=at, by=by, comment=comment)


def advance_by_signatures(work: Work, contract: Contract) -> str:
    """Move a contract as far as its signatures allow; returns the effect for the event receipt."""
    if contract.status not in SIGNABLE:
        contract.save()
        return "noted"
    contract.plot_taken = is_signed(contract) and plot_is_taken(contract)
    if is_signed(contract) and not contract.plot_taken:
        move(work, contract, ContractStatus.SIGNED, by=None)
        return "signed"
    if contract.status == ContractStatus.DRAFT and (contract.signed_by_seller or contract.signed_by_buyer):
        move(work, contract, ContractStatus.AWAITING_SIGNATURES, by=None)
        return "awaiting_signatures"
    contract.save()
    return "noted"


def release_plot(work: Work, cancelled: Contract) -> None:
    """After a contract under way is cancelled, advance the oldest contract for its plot that both parties signed."""
    waiting = Contract.objects.select_for_update().filter(
        _of_plot(cancelled),
        status__in=SIGNABLE,
        signed_by_seller=True,
        signed_by_buyer=True,
    )
    contract = waiting.order_by("created_at", "id").first()
    if contract is not None:
        advance_by_signatures(work, contract)
