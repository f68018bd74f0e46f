"""When a contract counts as signed: seller and buyer have both signed the current contract of sale."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from apps.contracts.interface import Blocker
from apps.contracts.models import Contract, SeenSignature


def note_document(contract: Contract, document_id: UUID, created_at: datetime) -> None:
    """Record a stored contract of sale. A newer one needs its own signatures; an older one arriving late is ignored."""
    if contract.sale_document_at is None or created_at > contract.sale_document_at:
        contract.sale_document_id = document_id
        contract.sale_document_at = created_at
        _recount_signatures(contract)


def void_document(contract: Contract, now: datetime) -> None:
    """Discard the contract of sale and its signatures: changed terms need a new document."""
    contract.sale_document_id = None
    contract.sale_document_at = now
    contract.signed_by_seller = contract.signed_by_buyer = False


def note_signature(contract: Contract, *, signature_id: UUID, document_id: UUID, signer_id: UUID) -> None:
    """Record an accepted signature, which may arrive before its document."""
    SeenSignature.objects.get_or_create(
        id=signature_id, defaults={"contract": contract, "document_id": document_id, "signer_id": signer_id}
    )
    _recount_signatures(contract)


def is_signed(contract: Contract) -> bool:
    """Whether both parties have signed the current contract of sale."""
    return contract.signed_by_seller and contract.signed_by_buyer


def blockers(*, sale_document: bool, by_seller: bool, by_buyer: bool, plot_taken: bool) -> tuple[Blocker, ...]:
    """The reasons why a contract is not signed yet."""
    if not sale_document:
        return (Blocker.NO_SALE_CONTRACT,)
    reasons = []
    if not by_seller:
        reasons.append(Blocker.SELLER_SIGNATURE_MISSING)
    if not by_buyer:
        reasons.append(Blocker.BUYER_SIGNATURE_MISSING)
    if plot_taken:
        reasons.append(Blocker.PLOT_UNDER_CONTRACT)
    return tuple(reasons)


def _recount_signatures(contract: Contract) -> None:
    accepted = contract.signatures.values_list("document_id", "signer_id")
    signers = {signer for document, signer in accepted if document == contract.sale_document_id}
    contract.signed_by_seller = contract.seller_id in signers
    contract.signed_by_buyer = contract.buyer_id in signers
