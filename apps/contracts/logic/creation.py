"""Inserting a contract with its number, parties and first history entry, in one statement."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections
from django.utils import timezone

from apps.contracts.interface import ContractStatus, Participant, PartyRole, SamePerson
from apps.contracts.models import Contract
from apps.core.ids import new_id

# One round trip: a contract is four rows, and four ORM inserts cost more than the commit.
INSERT = """
WITH numbered AS (SELECT nextval('contracts_number')::text AS count), parts AS (
    INSERT INTO contracts_party (id, contract_id, user_id, role, created_at)
    SELECT part.id, %(id)s, part.user_id, part.role, %(created_at)s
    FROM unnest(%(part_ids)s::uuid[], %(users)s::uuid[], %(roles)s::text[]) AS part (id, user_id, role)
), entry AS (
    INSERT INTO contracts_statuschange (id, contract_id, status, at, by, comment)
    VALUES (%(history_id)s, %(id)s, %(status)s, %(created_at)s, %(by)s, '')
)
INSERT INTO contracts_contract (id, number, status, seller_id, buyer_id, agent_id, lawyer_id, land_plot_id,
    cadastral_number, price, currency, terms, signed_by_seller, signed_by_buyer, created_at, updated_at)
SELECT %(id)s, %(prefix)s || lpad(count, greatest(6, length(count)), '0'), %(status)s, %(seller_id)s, %(buyer_id)s,
    %(agent_id)s, %(lawyer_id)s, %(land_plot_id)s, %(cadastral_number)s, %(price)s, %(currency)s, %(terms)s, false, false,
    %(created_at)s, %(created_at)s FROM numbered
RETURNING number
"""


def participants(contract: Contract) -> tuple[Participant, ...]:
    """The people in a contract."""
    parts = (
        (contract.seller_id, PartyRole.SELLER),
        (contract.buyer_id, PartyRole.BUYER),
        (contract.agent_id, PartyRole.AGENT),
        (contract.lawyer_id, PartyRole.LAWYER),
    )
    return tuple(Participant(user_id=user_id, role=role) for user_id, role in parts if user_id is not None)


def plot(alias: str, land_plot_id: UUID) -> tuple[UUID, str] | None:
    """The owner and the cadastral number of a plot, if it exists."""
    with connections[alias].cursor() as db:
        db.execute("SELECT owner_id, cadastral_number FROM contracts_landplot WHERE id = %s", [land_plot_id])
        row: tuple[UUID, str] | None = db.fetchone()
        return row


def require_different_people(contract: Contract) -> None:
    """Check that no person holds two parts. Raises: SamePerson."""
    people = [participant.user_id for participant in participants(contract)]
    if len(set(people)) != len(people):
        raise SamePerson


def number_prefix(at: datetime) -> str:
    """What a contract's number begins with: its year where the platform is, and not in Greenwich."""
    return f"LC-{timezone.localtime(at, timezone.get_default_timezone()):%Y}-"


def insert(contract: Contract, *, by: object, at: datetime, alias: str) -> None:
    """Insert the contract and set its number."""
    parts = participants(contract)
    contract.created_at = contract.updated_at = at
    contract.status = ContractStatus.DRAFT
    parameters: dict[str, Any] = {
        "id": contract.id,
        "prefix": number_prefix(at),
        "status": contract.status,
        "seller_id": contract.seller_id,
        "buyer_id": contract.buyer_id,
        "agent_id": contract.agent_id,
        "lawyer_id": contract.lawyer_id,
        "land_plot_id": contract.land_plot_id,
        "cadastral_number": contract.cadastral_number,
        "price": contract.price,
        "currency": contract.currency,
        "terms": contract.terms,
        "created_at": at,
        "by": by,
        "history_id": new_id(),
        "part_ids": [new_id() for _ in parts],
        "users": [part.user_id for part in parts],
        "roles": [part.role.value for part in parts],
    }
    with connections[alias].cursor() as db:
        db.execute(INSERT, parameters)
        contract.number = db.fetchone()[0]
