"""The progress of a contract: what other apps' events make of it, on all four sides of the seam."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from apps.authentication.interface import AUTHENTICATION
from apps.contracts.interface import CONTRACTS, Blocker, ContractStatus, PlotUnderContract
from apps.contracts.tests.events import (
    deliver,
    document_stored,
    sign,
    signature_accepted,
    stage_started,
    workflow_completed,
)
from apps.core.ids import new_id
from apps.core.interface.errors import RemoteCallFailed
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentType
from tests.world import World

S = ContractStatus


@pytest.fixture
def sale(world: World):
    seller, buyer = world.person(), world.person()
    return seller, buyer, world.contract(seller, buyer)


def now(world: World, contract):
    return call(CONTRACTS).get(ctx=world.ctx(), contract_id=contract.id)


def cancel(world: World, contract) -> None:
    call(CONTRACTS).change_status(ctx=world.ctx(), contract_id=contract.id, status=S.CANCELLED)


def test_a_signed_contract_follows_its_workflow_to_the_end(world: World, sale):
    seller, buyer, contract = sale
    sign(world, contract, seller, buyer)
    effects = [deliver(world, stage_started(contract, stage)).effect for stage in ("payment", "registration")]
    assert effects == ["ignored", "in_registration"]
    assert now(world, contract).status is S.IN_REGISTRATION
    assert deliver(world, workflow_completed(contract)).effect == "completed"
    history = call(CONTRACTS).history(ctx=world.ctx(seller), contract_id=contract.id)
    assert [change.status for change in history] == [
        S.DRAFT,
        S.AWAITING_SIGNATURES,
        S.SIGNED,
        S.IN_REGISTRATION,
        S.COMPLETED,
    ]
    assert [change.by for change in history[1:]] == [None] * 4


def test_a_move_has_the_person_who_caused_the_event(world: World, sale):
    seller, buyer, contract = sale
    sign(world, contract, seller, buyer)
    deliver(world, stage_started(contract, "registration"), by=seller)
    deliver(world, workflow_completed(contract), by=buyer)
    history = call(CONTRACTS).history(ctx=world.ctx(seller), contract_id=contract.id)
    assert [change.by for change in history[-2:]] == [seller.id, buyer.id]


def test_an_event_that_this_build_does_not_know_is_a_fault_and_stays_undelivered(world: World, sale):
    _, _, contract = sale
    for changes in ({"type": "unheard.of"}, {"payload": msgspec.Raw(b"[]")}):
        with pytest.raises((RemoteCallFailed, LookupError, msgspec.ValidationError)):
            deliver(world, workflow_completed(contract), **changes)


def test_a_completed_contract_leaves_its_plot_to_none_that_waits(world: World):
    seller, buyer = world.person(), world.person()
    plot = world.plot(seller)
    first, waiting = (world.contract(seller, person, plot=plot) for person in (buyer, world.person()))
    sign(world, first, seller, buyer)
    other = call(AUTHENTICATION).get(ctx=world.ctx(), user_id=waiting.buyer_id)
    sign(world, waiting, seller, other)
    for status in (S.IN_REGISTRATION, S.COMPLETED):
        call(CONTRACTS).change_status(ctx=world.ctx(), contract_id=first.id, status=status)
    assert now(world, waiting).status is S.AWAITING_SIGNATURES


def test_an_event_before_its_turn_moves_nothing(world: World, sale):
    seller, buyer, contract = sale
    assert deliver(world, stage_started(contract, "registration")).effect == "ignored"
    assert deliver(world, workflow_completed(contract)).effect == "ignored"
    assert now(world, contract).status is S.DRAFT
    sign(world, contract, seller, buyer)
    assert deliver(world, workflow_completed(contract)).effect == "ignored"
    assert now(world, contract).status is S.SIGNED


def test_an_event_of_an_unknown_contract_is_acknowledged_and_ignored(world: World, sale):
    seller, _, contract = sale
    unknown = msgspec.structs.replace(contract, id=new_id())
    for event in (
        document_stored(unknown, new_id(), seller),
        signature_accepted(unknown, new_id(), seller),
        stage_started(unknown, "registration"),
        workflow_completed(unknown),
    ):
        assert deliver(world, event).effect == "ignored"


def test_only_a_contract_of_sale_is_signed(world: World, sale):
    seller, buyer, contract = sale
    document = new_id()
    plan = document_stored(contract, document, seller, document_type=DocumentType.OTHER)
    assert deliver(world, plan).effect == "ignored"
    assert now(world, contract).blockers == (Blocker.NO_SALE_CONTRACT,)
    for signer in (seller, buyer):
        assert deliver(world, signature_accepted(contract, document, signer)).effect == "noted"
    assert now(world, contract).status is S.DRAFT


def test_one_signature_sends_a_draft_for_signing(world: World, sale):
    seller, buyer, contract = sale
    document = new_id()
    assert deliver(world, document_stored(contract, document, seller)).effect == "noted"
    assert now(world, contract).blockers == (Blocker.SELLER_SIGNATURE_MISSING, Blocker.BUYER_SIGNATURE_MISSING)
    assert deliver(world, signature_accepted(contract, document, buyer)).effect == "awaiting_signatures"
    assert now(world, contract).blockers == (Blocker.SELLER_SIGNATURE_MISSING,)


def test_a_signature_of_another_person_counts_for_no_party(world: World, sale):
    seller, buyer, contract = sale
    document = sign(world, contract, seller)
    assert deliver(world, signature_accepted(contract, document, world.person())).effect == "noted"
    assert now(world, contract).blockers == (Blocker.BUYER_SIGNATURE_MISSING,)
    assert deliver(world, signature_accepted(contract, document, buyer)).effect == "signed"


def test_a_newer_document_wants_its_own_signatures(world: World, sale):
    seller, buyer, contract = sale
    sign(world, contract, seller)
    newer = new_id()
    deliver(world, document_stored(contract, newer, seller))
    assert len(now(world, contract).blockers) == 2
    for signer in (seller, buyer):
        deliver(world, signature_accepted(contract, newer, signer))
    assert now(world, contract).status is S.SIGNED


def test_an_older_document_that_arrives_late_is_ignored(world: World, sale):
    seller, buyer, contract = sale
    newest, older = new_id(), new_id()
    at = datetime.now(UTC)
    deliver(world, document_stored(contract, newest, seller, created_at=at))
    for created_at in (at - timedelta(minutes=1), at):  # of two of one moment the first stays
        deliver(world, document_stored(contract, older, seller, created_at=created_at))
    for signer in (seller, buyer):
        deliver(world, signature_accepted(contract, older, signer))
    assert now(world, contract).status is S.DRAFT
    for signer in (seller, buyer):
        deliver(world, signature_accepted(contract, newest, signer))
    assert now(world, contract).status is S.SIGNED


@pytest.mark.parametrize("last", [S.CANCELLED, S.COMPLETED])
def test_nothing_is_signed_after_the_end(world: World, sale, last: ContractStatus):
    seller, buyer, contract = sale
    steps = (S.SIGNED, S.IN_REGISTRATION, S.COMPLETED) if last is S.COMPLETED else (S.CANCELLED,)
    for step in steps:
        call(CONTRACTS).change_status(ctx=world.ctx(), contract_id=contract.id, status=step)
    document = new_id()
    assert deliver(world, document_stored(contract, document, seller)).effect == "ignored"
    for signer in (seller, buyer):
        assert deliver(world, signature_accepted(contract, document, signer)).effect == "noted"
    assert now(world, contract).status is last


def test_a_signed_contract_takes_no_further_document(world: World, sale):
    seller, buyer, contract = sale
    sign(world, contract, seller, buyer)
    assert deliver(world, document_stored(contract, new_id(), seller)).effect == "ignored"
    assert (now(world, contract).status, now(world, contract).blockers) == (S.SIGNED, ())


def test_of_contracts_that_wait_for_a_plot_the_oldest_is_signed_when_it_is_free(world: World):
    seller, buyers = world.person(), [world.person() for _ in range(4)]
    plot = world.plot(seller)
    first, unsigned, oldest, newest = (world.contract(seller, buyer, plot=plot) for buyer in buyers)
    for contract, buyer in ((first, buyers[0]), (newest, buyers[3]), (oldest, buyers[2])):
        sign(world, contract, seller, buyer)
    sign(world, unsigned, seller)
    for waiting in (oldest, newest):
        assert now(world, waiting).blockers == (Blocker.PLOT_UNDER_CONTRACT,)
    with pytest.raises(PlotUnderContract):
        call(CONTRACTS).change_status(ctx=world.ctx(), contract_id=unsigned.id, status=S.SIGNED)
    cancel(world, first)
    statuses = [now(world, contract).status for contract in (unsigned, oldest, newest)]
    assert statuses == [S.AWAITING_SIGNATURES, S.SIGNED, S.AWAITING_SIGNATURES]
    assert now(world, oldest).blockers == ()
    assert now(world, newest).blockers == (Blocker.PLOT_UNDER_CONTRACT,)


def test_a_cancelled_draft_frees_no_plot(world: World):
    seller, buyers = world.person(), [world.person() for _ in range(3)]
    plot = world.plot(seller)
    first, waiting, draft = (world.contract(seller, buyer, plot=plot) for buyer in buyers)
    sign(world, first, seller, buyers[0])
    sign(world, waiting, seller, buyers[1])
    cancel(world, draft)
    assert now(world, waiting).status is S.AWAITING_SIGNATURES
    assert now(world, first).status is S.SIGNED


def test_a_contract_whose_terms_changed_does_not_wait_any_more(world: World):
    seller, buyers = world.person(), [world.person() for _ in range(2)]
    plot = world.plot(seller)
    first, waiting = (world.contract(seller, buyer, plot=plot) for buyer in buyers)
    for contract, buyer in zip((first, waiting), buyers, strict=True):
        sign(world, contract, seller, buyer)
    call(CONTRACTS).change_status(ctx=world.ctx(seller), contract_id=waiting.id, status=S.DRAFT)
    call(CONTRACTS).change_terms(ctx=world.ctx(seller), contract_id=waiting.id, terms="Другие")
    cancel(world, first)
    assert (now(world, waiting).status, now(world, waiting).blockers) == (S.DRAFT, (Blocker.NO_SALE_CONTRACT,))


def test_another_plot_does_not_wait(world: World):
    seller, buyer = world.person(), world.person()
    for contract in (world.contract(seller, buyer), world.contract(seller, buyer)):
        sign(world, contract, seller, buyer)
        assert now(world, contract).status is S.SIGNED
