"""The contract's status machine: the moves, and the parts that may make them.

`signed` is reached only by both parties' signatures, never by hand.
"""

from __future__ import annotations

from apps.contracts.interface import ContractStatus, IllegalStatusMove, PartyRole
from apps.contracts.logic.visibility import role_of
from apps.contracts.models import Contract
from apps.core.interface.context import Actor

S = ContractStatus
_EVERYONE = frozenset(PartyRole)
_PROFESSIONAL = frozenset({PartyRole.LAWYER, PartyRole.AGENT})
_OWNERS = frozenset({PartyRole.SELLER, PartyRole.LAWYER, PartyRole.AGENT})

# From, to, and the parts that make the move by hand. The system makes every move, administrators all but `signed`.
MOVES: dict[tuple[ContractStatus, ContractStatus], frozenset[PartyRole]] = {
    (S.DRAFT, S.AWAITING_SIGNATURES): _OWNERS,
    (S.DRAFT, S.CANCELLED): _EVERYONE,
    (S.DRAFT, S.SIGNED): frozenset(),
    (S.AWAITING_SIGNATURES, S.DRAFT): _OWNERS,
    (S.AWAITING_SIGNATURES, S.CANCELLED): _EVERYONE,
    (S.AWAITING_SIGNATURES, S.SIGNED): frozenset(),
    # After payment: the lawyer or the agent, or the seller when the contract names neither (`legal_moves`).
    (S.SIGNED, S.IN_REGISTRATION): _PROFESSIONAL,
    (S.SIGNED, S.CANCELLED): frozenset({PartyRole.LAWYER}),
    (S.IN_REGISTRATION, S.COMPLETED): frozenset({PartyRole.LAWYER}),
    (S.IN_REGISTRATION, S.SIGNED): frozenset(),
    (S.IN_REGISTRATION, S.CANCELLED): frozenset({PartyRole.LAWYER}),
}


def legal_moves(contract: Contract, actor: Actor) -> tuple[ContractStatus, ...]:
    """The statuses to which the actor may move the contract by hand."""
    role = role_of(contract, actor.id)
    targets = []
    for (start, end), roles in MOVES.items():
        if start != contract.status:
            continue
        if end == S.IN_REGISTRATION and contract.lawyer_id is None and contract.agent_id is None:
            roles = roles | {PartyRole.SELLER}
        by_office = actor.has("administrator") or (actor.has("registrar") and start == S.IN_REGISTRATION)
        if role in roles or (by_office and end != S.SIGNED):
            targets.append(end)
    return tuple(targets)


def require_legal(contract: Contract, asked: ContractStatus, actor: Actor) -> None:
    """Check that the actor may make a move. Raises: IllegalStatusMove, with the list of legal moves."""
    if actor.has("system") and (ContractStatus(contract.status), asked) in MOVES:
        return
    legal = legal_moves(contract, actor)
    if asked not in legal:
        raise IllegalStatusMove(current=ContractStatus(contract.status), asked=asked, legal=legal)
