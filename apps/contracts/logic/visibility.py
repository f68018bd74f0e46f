"""Rules of who may see a contract, and do what with it."""

from __future__ import annotations

from uuid import UUID

from apps.contracts import interface
from apps.contracts.interface import ContractStatus, PartyRole
from apps.contracts.models import Contract
from apps.core.interface.context import Actor

SEES_ALL = ("administrator", "registrar", "system")
ACTS_ON_ALL = ("administrator", "system")
OVER = (ContractStatus.COMPLETED, ContractStatus.CANCELLED)
SIGNABLE = (ContractStatus.DRAFT, ContractStatus.AWAITING_SIGNATURES)


def role_of(contract: Contract | interface.Contract, user_id: UUID | None) -> PartyRole | None:
    """The part that a person has in a contract, if any."""
    if user_id is None:
        return None
    if user_id == contract.seller_id:
        return PartyRole.SELLER
    if user_id == contract.buyer_id:
        return PartyRole.BUYER
    if user_id == contract.agent_id:
        return PartyRole.AGENT
    return PartyRole.LAWYER if user_id == contract.lawyer_id else None


def sees(contract: Contract | interface.Contract, actor: Actor) -> bool:
    """Whether the actor may see the contract."""
    return actor.has(*SEES_ALL) or role_of(contract, actor.id) is not None


def may_upload(contract: Contract, actor: Actor) -> bool:
    """Whether the actor may attach documents: parties and administrators may, until the contract is over."""
    acts = role_of(contract, actor.id) is not None or actor.has(*ACTS_ON_ALL)
    return acts and contract.status not in OVER


def may_sign(contract: Contract, actor: Actor) -> bool:
    """Whether the actor may sign: seller and buyer may, until the contract is over."""
    return role_of(contract, actor.id) in {PartyRole.SELLER, PartyRole.BUYER} and contract.status not in OVER


def may_manage(contract: Contract, actor: Actor) -> bool:
    """Whether the actor may change terms: every party but the buyer may, and administrators."""
    managers = {PartyRole.SELLER, PartyRole.AGENT, PartyRole.LAWYER}
    return role_of(contract, actor.id) in managers or actor.has(*ACTS_ON_ALL)
