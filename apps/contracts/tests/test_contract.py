"""The contract of contracts, on all four sides of the seam."""

import secrets
from decimal import Decimal
from uuid import uuid4

import pytest

from apps.authentication.interface import Role
from apps.contracts.interface import (
    CONTRACTS,
    BadCadastralNumber,
    BadCursor,
    BadPrice,
    Blocker,
    ContractNotFound,
    ContractStatus,
    IllegalStatusMove,
    LandPlotNotFound,
    LandPlotTaken,
    NotAParty,
    NotYourPlot,
    PartyRole,
    SamePerson,
    TermsFrozen,
    UnknownParty,
)
from apps.contracts.tests.events import deliver, document_stored, signature_accepted
from apps.core.ids import new_id
from apps.core.interface.errors import Forbidden
from apps.core.seam.client.registry import call
from tests.world import World, cadastral_number

S = ContractStatus


def test_a_plot_is_recorded_once_by_its_owner_with_a_normalised_number(world: World):
    owner, number = world.person(), cadastral_number()
    record = lambda text: call(CONTRACTS).record_plot(
        ctx=world.ctx(owner), cadastral_number=text, address="Поле", area_m2=Decimal("600.5")
    )
    plot = record(f" {number[:6]} {number[6:]} ")
    assert (plot.cadastral_number, plot.area_m2, plot.owner_id) == (number, Decimal("600.50"), owner.id)
    with pytest.raises(LandPlotTaken) as refusal:
        record(number)
    assert refusal.value.land_plot_id == plot.id


def test_zeros_before_the_last_part_make_no_other_plot(world: World):
    owner, number = world.person(), cadastral_number()
    quarter, _, last = number.rpartition(":")
    record = lambda text: call(CONTRACTS).record_plot(
        ctx=world.ctx(owner), cadastral_number=text, address="Поле", area_m2=Decimal(1)
    )
    plot = record(f"{quarter}:000{last}")
    assert plot.cadastral_number == number
    with pytest.raises(LandPlotTaken):
        record(number)


def test_a_change_of_nothing_has_no_effect(world: World):
    seller, buyer = world.person(), world.person()
    contract = world.contract(seller, buyer)
    for change in ({}, {"price": contract.price}, {"terms": contract.terms}, {"price": Decimal(1500000), "terms": ""}):
        assert call(CONTRACTS).change_terms(ctx=world.ctx(seller), contract_id=contract.id, **change) == contract
    changed = call(CONTRACTS).change_terms(ctx=world.ctx(seller), contract_id=contract.id, terms="Другие")
    assert changed.updated_at > contract.updated_at


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "50:20:00102:1187",
        "50:20:00102031:1",
        "5:20:0010203:1",
        "50:20:0010203:",
        "50:20:0010203:0",
        "50:20:0010203:0000",
        "50:20:0010203:1x",
        "٥0:20:0010203:1",
        "50:20:0010203:1187\n50",
        "50-20-0010203-1187",
    ],
)
def test_anything_else_than_a_cadastral_number_is_refused_with_the_rule(here: World, bad: str):
    with pytest.raises(BadCadastralNumber) as refusal:
        call(CONTRACTS).record_plot(
            ctx=here.ctx(here.person()), cadastral_number=bad, address="Поле", area_m2=Decimal(1)
        )
    assert "six or seven digits" in str(refusal.value)


@pytest.mark.parametrize("good", ["50:20:001020:1", "50:20:0010203:1187"])
def test_a_quarter_has_six_or_seven_digits(here: World, good: str):
    plot = call(CONTRACTS).record_plot(
        ctx=here.ctx(here.person()), cadastral_number=good, address="Поле", area_m2=Decimal(1)
    )
    assert plot.cadastral_number == good


def test_a_contract_is_drawn_up_by_its_seller(world: World):
    seller, buyer, lawyer = world.person(), world.person(), world.person(Role.LAWYER)
    contract = world.contract(seller, buyer, lawyer=lawyer)
    assert (contract.seller_id, contract.buyer_id, contract.lawyer_id) == (seller.id, buyer.id, lawyer.id)
    assert (contract.status, contract.price, contract.currency) == (S.DRAFT, Decimal("1500000.00"), "RUB")
    assert contract.blockers == (Blocker.NO_SALE_CONTRACT,)
    assert call(CONTRACTS).get(ctx=world.ctx(buyer), contract_id=contract.id) == contract
    (first,) = call(CONTRACTS).history(ctx=world.ctx(buyer), contract_id=contract.id)
    assert (first.status, first.by) == (S.DRAFT, seller.id)
    roles = {item.role for item in call(CONTRACTS).participants(ctx=world.ctx(buyer), contract_id=contract.id)}
    assert roles == {PartyRole.SELLER, PartyRole.BUYER, PartyRole.LAWYER}


@pytest.mark.parametrize("price", ["0", "-1", "0.001", "NaN", "Infinity", "1e1000000", "1000000000000000"])
def test_a_price_is_a_positive_amount_of_money(world: World, price: str):
    seller, buyer = world.person(), world.person()
    with pytest.raises(BadPrice):
        call(CONTRACTS).create(
            ctx=world.ctx(seller), buyer_id=buyer.id, land_plot_id=world.plot(seller).id, price=Decimal(price)
        )


def test_a_contract_with_the_wrong_people_or_plot_is_refused(world: World):
    seller, buyer, other = world.person(), world.person(), world.person()
    plot = world.plot(seller)

    def create(actor, **overrides):
        arguments = {"buyer_id": buyer.id, "land_plot_id": plot.id, "price": Decimal(1), **overrides}
        return call(CONTRACTS).create(ctx=world.ctx(actor), **arguments)

    with pytest.raises(SamePerson):
        create(seller, buyer_id=seller.id)
    with pytest.raises(UnknownParty) as refusal:
        create(seller, buyer_id=uuid4())
    assert refusal.value.role is PartyRole.BUYER
    with pytest.raises(UnknownParty):
        create(seller, lawyer_id=other.id)  # not a lawyer
    with pytest.raises(NotAParty):
        create(other, seller_id=seller.id)
    with pytest.raises(LandPlotNotFound):
        create(seller, land_plot_id=uuid4())
    with pytest.raises(LandPlotNotFound):  # only its owner can tell an existing plot from a missing one
        create(seller, land_plot_id=world.plot(other).id)
    with pytest.raises(NotYourPlot):
        create(seller, seller_id=other.id, buyer_id=seller.id)


def test_a_hidden_contract_does_not_exist(world: World):
    seller, buyer, stranger = world.person(), world.person(), world.person()
    contract = world.contract(seller, buyer)
    for ask in (
        lambda ctx: call(CONTRACTS).get(ctx=ctx, contract_id=contract.id),
        lambda ctx: call(CONTRACTS).history(ctx=ctx, contract_id=contract.id),
        lambda ctx: call(CONTRACTS).change_status(ctx=ctx, contract_id=contract.id, status=S.CANCELLED),
        lambda ctx: call(CONTRACTS).change_terms(ctx=ctx, contract_id=contract.id, terms="x"),
    ):
        with pytest.raises(ContractNotFound):
            ask(world.ctx(stranger))
    with pytest.raises(LandPlotNotFound):
        call(CONTRACTS).get_plot(ctx=world.ctx(stranger), land_plot_id=contract.land_plot_id)
    assert call(CONTRACTS).get_plot(ctx=world.ctx(buyer), land_plot_id=contract.land_plot_id)
    assert call(CONTRACTS).rights(ctx=world.ctx(stranger), contract_ids=(contract.id,)) == ()
    assert call(CONTRACTS).get(ctx=world.ctx(stranger, "registrar"), contract_id=contract.id) == contract


def test_a_list_is_paged_without_gaps_or_repeats(world: World):
    seller, buyer = world.person(), world.person()
    plot = world.plot(seller)
    created = [world.contract(seller, buyer, plot=plot).id for _ in range(5)]
    listed, cursor = [], None
    while True:
        page = call(CONTRACTS).list(ctx=world.ctx(buyer), limit=2, cursor=cursor)
        listed += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert listed == created[::-1]
    of_plot = call(CONTRACTS).list(ctx=world.ctx(seller), land_plot_id=plot.id, status=S.DRAFT)
    assert len(of_plot.items) == 5
    assert call(CONTRACTS).list(ctx=world.ctx(seller), status=S.SIGNED).items == ()
    plots = call(CONTRACTS).list_plots(ctx=world.ctx(seller))
    assert [item.id for item in plots.items] == [plot.id]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "0", "MjAyNi0wMS0wMXxh"])
def test_a_made_up_cursor_is_refused(world: World, cursor: str):
    with pytest.raises(BadCursor):
        world.contract(seller := world.person(), world.person())
        call(CONTRACTS).list(ctx=world.ctx(seller), cursor=cursor)


def test_an_illegal_move_is_refused_with_the_legal_ones(world: World):
    seller, buyer = world.person(), world.person()
    contract = world.contract(seller, buyer)
    with pytest.raises(IllegalStatusMove) as refusal:
        call(CONTRACTS).change_status(ctx=world.ctx(seller), contract_id=contract.id, status=S.COMPLETED)
    assert refusal.value.current is S.DRAFT
    assert set(refusal.value.legal) == {S.AWAITING_SIGNATURES, S.CANCELLED}
    with pytest.raises(IllegalStatusMove) as refusal:  # a status move never signs
        call(CONTRACTS).change_status(ctx=world.ctx(seller), contract_id=contract.id, status=S.SIGNED)
    moved = call(CONTRACTS).change_status(
        ctx=world.ctx(buyer), contract_id=contract.id, status=S.CANCELLED, comment="Передумали"
    )
    assert moved.status is S.CANCELLED
    last = call(CONTRACTS).history(ctx=world.ctx(seller), contract_id=contract.id)[-1]
    assert (last.status, last.by, last.comment) == (S.CANCELLED, buyer.id, "Передумали")


def test_terms_change_in_a_draft_only_and_not_by_the_buyer(world: World):
    seller, buyer = world.person(), world.person()
    contract = world.contract(seller, buyer)
    with pytest.raises(Forbidden):
        call(CONTRACTS).change_terms(ctx=world.ctx(buyer), contract_id=contract.id, price=Decimal(1))
    changed = call(CONTRACTS).change_terms(ctx=world.ctx(seller), contract_id=contract.id, price=Decimal("7.5"))
    assert (changed.price, changed.terms) == (Decimal("7.50"), "")
    call(CONTRACTS).change_status(ctx=world.ctx(seller), contract_id=contract.id, status=S.AWAITING_SIGNATURES)
    with pytest.raises(TermsFrozen):
        call(CONTRACTS).change_terms(ctx=world.ctx(seller), contract_id=contract.id, terms="x")


def test_new_terms_want_a_new_document_and_new_signatures(world: World):
    seller, buyer = world.person(), world.person()
    contract, document = world.contract(seller, buyer), new_id()
    deliver(world, document_stored(contract, document, seller))
    deliver(world, signature_accepted(contract, document, buyer))
    call(CONTRACTS).change_status(ctx=world.ctx(seller), contract_id=contract.id, status=S.DRAFT)
    changed = call(CONTRACTS).change_terms(ctx=world.ctx(seller), contract_id=contract.id, price=Decimal(99_000_000))
    assert changed.blockers == (Blocker.NO_SALE_CONTRACT,)
    deliver(world, signature_accepted(contract, document, seller))
    assert call(CONTRACTS).get(ctx=world.ctx(buyer), contract_id=contract.id).status is not S.SIGNED


def test_both_signatures_make_it_signed_whichever_event_comes_first(world: World):
    seller, buyer = world.person(), world.person()
    contract, document = world.contract(seller, buyer), new_id()
    deliver(world, signature_accepted(contract, document, seller))  # before its document is known
    deliver(world, document_stored(contract, document, seller))
    waiting = call(CONTRACTS).get(ctx=world.ctx(buyer), contract_id=contract.id)
    assert (waiting.status, waiting.blockers) == (S.AWAITING_SIGNATURES, (Blocker.BUYER_SIGNATURE_MISSING,))
    assert deliver(world, signature_accepted(contract, document, buyer)).effect == "signed"
    signed = call(CONTRACTS).get(ctx=world.ctx(buyer), contract_id=contract.id)
    assert (signed.status, signed.blockers) == (S.SIGNED, ())


def test_a_signature_on_another_document_does_not_count(world: World):
    seller, buyer = world.person(), world.person()
    contract, document = world.contract(seller, buyer), new_id()
    deliver(world, document_stored(contract, document, seller))
    for signer in (seller, buyer):
        deliver(world, signature_accepted(contract, new_id(), signer))
    assert call(CONTRACTS).get(ctx=world.ctx(buyer), contract_id=contract.id).status is not S.SIGNED


def test_a_repeated_key_makes_one_contract(world: World):
    seller, buyer = world.person(), world.person()
    plot, ctx = world.plot(seller), world.ctx(seller, key=secrets.token_hex(8))
    create = lambda: call(CONTRACTS).create(ctx=ctx, buyer_id=buyer.id, land_plot_id=plot.id, price=Decimal(1))
    assert create() == create()
    assert len(call(CONTRACTS).list(ctx=world.ctx(seller)).items) == 1
