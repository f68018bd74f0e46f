"""When a contract counts as signed: seller and buyer have both signed the current contract of sale."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from apps.contracts.interface import Blocker
from apps.contracts.models import Contract, SeenSignature


def note_document(contract: Contract, document_id: UUID, created_at: datetime) -> None:
    """A contract of sale was stored. A newer one wants signatures of its own; an older one that comes late changes nothing."""
    if contract.sale_document_at is None or created_at > contract.sale_document_at:
        contract.sale_document_id = document_id
        contract.sale_document_at = created_at
        _recount(contract)


def void_document(contract: Contract, now: datetime) -> None:
    """Other terms want another contract of sale: what was uploaded and signed until now does not count any more."""
    contract.sale_document_id = None
    contract.sale_document_at = now
    contract.signed_by_seller = contract.signed_by_buyer = False


def note_signature(contract: Contract, *, signature_id: UUID, document_id: UUID, signer_id: UUID) -> None:
    """A signature was accepted, whichever of the two events came first."""
    SeenSignature.objects.get_or_create(
        id=signature_id, defaults={"contract": contract, "document_id": document_id, "signer_id": signer_id}
    )
    _recount(contract)


def is_signed(contract: Contract) -> bool:
    """Both parties have signed the current contract of sale."""
    return contract.signed_by_seller and contract.signed_by_buyer


def blockers(*, sale_document: bool, by_seller: bool, by_buyer: bool, plot_taken: bool) -> tuple[Blocker, ...]:
    """What still keeps a contract from being signed."""
    if not sale_document:
        return (Blocker.NO_SALE_CONTRACT,)
    missing = []
    if not by_seller:
        missing.append(Blocker.SELLER_SIGNATURE_MISSING)
    if not by_buyer:
        missing.append(Blocker.BUYER_SIGNATURE_MISSING)
    if plot_taken:
        missing.append(Blocker.PLOT_UNDER_CONTRACT)
    return tuple(missing)


def _recount(contract: Contract) -> None:
    accepted = contract.signatures.values_list("document_id", "signer_id")
    signers = {signer for document, signer in accepted if document == contract.sale_document_id}
    contract.signed_by_seller = contract.seller_id in signers
    contract.signed_by_buyer = contract.buyer_id in signers
