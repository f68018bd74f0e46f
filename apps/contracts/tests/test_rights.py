"""Who may do what with a contract in each status, on all four sides of the seam."""

import pytest

from apps.authentication.interface import Role
from apps.contracts.interface import CONTRACTS, ContractStatus, IllegalStatusMove
from apps.core.interface.errors import Forbidden
from apps.core.seam.client.registry import call
from tests.world import World

S = ContractStatus
# How the system brings a contract to a status.
WAY = {
    S.DRAFT: (),
    S.AWAITING_SIGNATURES: (S.AWAITING_SIGNATURES,),
    S.SIGNED: (S.SIGNED,),
    S.IN_REGISTRATION: (S.SIGNED, S.IN_REGISTRATION),
    S.COMPLETED: (S.SIGNED, S.IN_REGISTRATION, S.COMPLETED),
    S.CANCELLED: (S.CANCELLED,),
}
PARTS = ("seller", "buyer", "agent", "lawyer")
TO_SIGN, TO_DRAFT = {S.AWAITING_SIGNATURES, S.CANCELLED}, {S.DRAFT, S.CANCELLED}
TO_REGISTER, TO_COMPLETE = {S.IN_REGISTRATION, S.CANCELLED}, {S.COMPLETED, S.CANCELLED}
# The moves by hand. A part that is not named has none, and so have all when the sale is over.
MOVES = {
    S.DRAFT: {"buyer": {S.CANCELLED}, **dict.fromkeys(("seller", "agent", "lawyer", "administrator"), TO_SIGN)},
    S.AWAITING_SIGNATURES: {
        "buyer": {S.CANCELLED},
        **dict.fromkeys(("seller", "agent", "lawyer", "administrator"), TO_DRAFT),
    },
    S.SIGNED: {"agent": {S.IN_REGISTRATION}, "lawyer": TO_REGISTER, "administrator": TO_REGISTER},
    S.IN_REGISTRATION: dict.fromkeys(("lawyer", "administrator", "registrar"), TO_COMPLETE),
    S.COMPLETED: {},
    S.CANCELLED: {},
}


class Parties:
    """A contract with all four parts filled, and an administrator and a registrar who have none."""

    def __init__(self, world: World, status: ContractStatus) -> None:
        self.world = world
        people = (world.person(), world.person(), world.person(Role.AGENT), world.person(Role.LAWYER))
        self.people = dict(zip(PARTS, people, strict=True))
        contract = call(CONTRACTS).create(
            ctx=self.ctx("seller"),
            buyer_id=self.people["buyer"].id,
            agent_id=self.people["agent"].id,
            lawyer_id=self.people["lawyer"].id,
            land_plot_id=world.plot(self.people["seller"]).id,
            price=1,
        )
        self.id = contract.id
        bring(world, self.id, status)

    def ctx(self, part: str):
        if part in PARTS:
            return self.world.ctx(self.people[part])
        if part not in self.people:
            self.people[part] = self.world.person()
        return self.world.ctx(self.people[part], *([] if part == "stranger" else [part]))

    def rights(self, part: str):
        (rights,) = call(CONTRACTS).rights(ctx=self.ctx(part), contract_ids=(self.id,))
        return rights

    def move(self, part: str, status: ContractStatus):
        return call(CONTRACTS).change_status(ctx=self.ctx(part), contract_id=self.id, status=status)


def bring(world: World, contract_id, status: ContractStatus) -> None:
    for step in WAY[status]:
        call(CONTRACTS).change_status(ctx=world.ctx(), contract_id=contract_id, status=step)


@pytest.mark.parametrize("status", ContractStatus)
def test_each_part_has_its_moves_and_no_others(world: World, status: ContractStatus):
    parties = Parties(world, status)
    for part in (*PARTS, "administrator", "registrar"):
        assert set(parties.rights(part).legal_moves) == MOVES[status].get(part, set()), part


@pytest.mark.parametrize("status", ContractStatus)
def test_a_move_that_is_not_offered_is_refused(here: World, status: ContractStatus):
    parties = Parties(here, status)
    for part in (*PARTS, "administrator", "registrar"):
        for asked in set(ContractStatus) - MOVES[status].get(part, set()):
            with pytest.raises(IllegalStatusMove) as refusal:
                parties.move(part, asked)
            assert (refusal.value.current, refusal.value.asked) == (status, asked)


@pytest.mark.parametrize(
    ("status", "part", "asked"),
    [
        (status, part, asked)
        for status, moves in MOVES.items()
        for part, legal in moves.items()
        for asked in sorted(legal)
    ],
)
def test_a_move_that_is_offered_is_made(here: World, status: ContractStatus, part: str, asked: ContractStatus):
    assert Parties(here, status).move(part, asked).status is asked


def test_without_a_lawyer_and_an_agent_the_seller_sends_to_registration(world: World):
    seller, buyer = world.person(), world.person()
    contract = world.contract(seller, buyer)
    bring(world, contract.id, S.SIGNED)
    moves = {
        person: call(CONTRACTS).rights(ctx=world.ctx(person), contract_ids=(contract.id,))[0].legal_moves
        for person in (seller, buyer)
    }
    assert moves == {seller: (S.IN_REGISTRATION,), buyer: ()}


@pytest.mark.parametrize("status", ContractStatus)
def test_what_else_each_part_may_do(world: World, status: ContractStatus):
    """Documents and signatures until the sale is over; terms are managed by all parties but the buyer."""
    parties = Parties(world, status)
    is_open = status not in {S.COMPLETED, S.CANCELLED}
    for part in (*PARTS, "administrator", "registrar"):
        rights = parties.rights(part)
        assert rights.may_upload is (is_open and part != "registrar"), part
        assert rights.may_sign is (is_open and part in {"seller", "buyer"}), part
        assert rights.may_manage is (part not in {"buyer", "registrar"}), part
        assert rights.role == (part if part in PARTS else None)
        assert (rights.status, set(rights.filled)) == (status, set(PARTS))


def test_the_offices_see_every_contract_and_only_administrators_change_terms(world: World):
    parties = Parties(world, S.DRAFT)
    stranger = parties.ctx("stranger")
    assert call(CONTRACTS).rights(ctx=stranger, contract_ids=(parties.id,)) == ()
    for office in ("administrator", "registrar"):
        assert call(CONTRACTS).get(ctx=parties.ctx(office), contract_id=parties.id).id == parties.id
        assert call(CONTRACTS).history(ctx=parties.ctx(office), contract_id=parties.id)
    with pytest.raises(Forbidden):
        call(CONTRACTS).change_terms(ctx=parties.ctx("registrar"), contract_id=parties.id, terms="x")
    changed = call(CONTRACTS).change_terms(ctx=parties.ctx("administrator"), contract_id=parties.id, terms="x")
    assert changed.terms == "x"
