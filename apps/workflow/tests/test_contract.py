"""The contract of workflow, on all four sides of the seam."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.contracts.interface import CONTRACTS, ContractCreated, ContractNotFound, ContractStatus
from apps.core.interface.errors import Forbidden
from apps.core.seam.client.registry import call
from apps.workflow.interface import (
    WORKFLOW,
    BadActualDate,
    ContractIsOver,
    IllegalStageMove,
    StageDecidedByEvent,
    StageNotFound,
    StageNotYours,
    StageStatus,
    WorkflowExists,
    WorkflowNotFound,
    WorkflowStatus,
)
from apps.workflow.tests.scenario import Scenario, deliver
from tests.world import World, envelope

S = StageStatus


@pytest.fixture
def scenario(world: World) -> Scenario:
    return Scenario(world)


def test_a_workflow_has_its_stages_in_order_and_the_first_under_way(scenario: Scenario):
    stages = scenario.workflow.stages
    assert [stage.name for stage in stages] == ["preparation", "signing", "payment", "registration", "handover"]
    assert [stage.order for stage in stages] == [1, 2, 3, 4, 5]
    assert [stage.status for stage in stages] == [S.IN_PROGRESS, S.PENDING, S.PENDING, S.PENDING, S.PENDING]
    begun = timezone.localdate(scenario.workflow.created_at)
    assert [(stage.planned_date - begun).days for stage in stages] == [7, 10, 15, 28, 31]
    ctx = scenario.world.ctx(scenario.seller)
    assert call(WORKFLOW).get(ctx=ctx, workflow_id=scenario.workflow.id) == scenario.workflow
    assert call(WORKFLOW).for_contracts(ctx=ctx, contract_ids=(scenario.contract.id,)) == (scenario.workflow,)


def legal(scenario: Scenario, person) -> list[tuple[StageStatus, ...]]:
    workflow = call(WORKFLOW).get(ctx=scenario.world.ctx(person), workflow_id=scenario.workflow.id)
    return [stage.legal_moves for stage in workflow.stages]


def test_each_person_gets_their_own_moves(scenario: Scenario):
    """The buyer completes no preparation, and a stage that has not begun cannot be moved."""
    for person in (scenario.lawyer, scenario.seller):
        assert legal(scenario, person) == [(S.COMPLETED, S.BLOCKED), (), (), (), ()]
    assert legal(scenario, scenario.buyer) == [(), (), (), (), ()]
    assert scenario.workflow.stages[0].completed_by == ("seller", "agent", "lawyer")
    after = scenario.move(scenario.lawyer, 0, S.COMPLETED)
    # Signatures complete the second stage: the people of the contract may only report an obstacle.
    assert after.stages[1].completed_by == ()
    assert legal(scenario, scenario.buyer)[:2] == [(), (S.BLOCKED,)]


def test_a_move_that_is_offered_is_made_and_one_that_is_not_is_refused(scenario: Scenario):
    for person in (scenario.seller, scenario.buyer, scenario.lawyer):
        offered = legal(scenario, person)[0]
        for status in (S.BLOCKED, S.IN_PROGRESS):
            if status in offered:
                scenario.move(person, 0, status)
                scenario.move(person, 0, S.IN_PROGRESS)
            else:
                with pytest.raises((StageNotYours, IllegalStageMove)):
                    scenario.move(person, 0, status)


def test_without_a_lawyer_the_parties_stand_in(world: World):
    scenario = Scenario(world, with_lawyer=False)
    assert scenario.workflow.stages[0].completed_by == ("seller", "agent", "lawyer", "buyer")
    assert legal(scenario, scenario.buyer)[0] == (S.COMPLETED, S.BLOCKED)
    assert scenario.move(scenario.buyer, 0, S.COMPLETED).current_stage == "signing"


def test_a_completed_stage_starts_the_next(scenario: Scenario):
    after = scenario.move(scenario.lawyer, 0, S.COMPLETED, comment="Документы собраны")
    assert (after.stages[0].status, after.stages[0].comment) == (S.COMPLETED, "Документы собраны")
    assert after.stages[0].actual_date is not None
    assert (after.stages[1].status, after.current_stage) == (S.IN_PROGRESS, "signing")


def test_a_stage_is_blocked_and_unblocked(scenario: Scenario):
    assert scenario.move(scenario.seller, 0, S.BLOCKED, comment="Нет выписки").current_stage == "preparation"
    assert scenario.move(scenario.seller, 0, S.IN_PROGRESS).stages[0].status is S.IN_PROGRESS


def test_illegal_moves_are_refused_with_the_legal_ones(scenario: Scenario):
    with pytest.raises(IllegalStageMove) as refusal:
        scenario.move(scenario.seller, 2, S.COMPLETED)  # not its turn
    assert (refusal.value.current, refusal.value.legal) == (S.PENDING, ())
    with pytest.raises(IllegalStageMove) as refusal:
        scenario.move(scenario.seller, 0, S.PENDING)
    assert set(refusal.value.legal) == {S.COMPLETED, S.BLOCKED}


def test_each_stage_has_its_people_and_signing_has_none(scenario: Scenario):
    with pytest.raises(StageNotYours) as refusal:
        scenario.move(scenario.buyer, 0, S.COMPLETED)
    assert "seller" in refusal.value.responsible
    scenario.move(scenario.seller, 0, S.COMPLETED)
    with pytest.raises(StageDecidedByEvent):
        scenario.move(scenario.seller, 1, S.COMPLETED)


@pytest.mark.parametrize("days", [-1, 1])
def test_a_stage_is_not_done_in_the_future_nor_before_the_workflow_began(scenario: Scenario, days: int):
    with pytest.raises(BadActualDate):
        scenario.move(scenario.seller, 0, S.COMPLETED, actual_date=timezone.localdate() + timedelta(days=days))


def test_strangers_and_unknown_stages(scenario: Scenario):
    stranger = scenario.world.person()
    with pytest.raises(WorkflowNotFound):
        call(WORKFLOW).get(ctx=scenario.world.ctx(stranger), workflow_id=scenario.workflow.id)
    with pytest.raises(WorkflowNotFound):
        scenario.move(stranger, 0, S.COMPLETED)
    with pytest.raises(ContractNotFound):
        call(WORKFLOW).start(ctx=scenario.world.ctx(stranger), contract_id=scenario.contract.id)
    with pytest.raises(StageNotFound):
        call(WORKFLOW).update_stage(
            ctx=scenario.world.ctx(scenario.seller),
            workflow_id=scenario.workflow.id,
            stage_id=uuid4(),
            status=S.COMPLETED,
        )
    ctx = scenario.world.ctx(stranger)
    assert call(WORKFLOW).for_contracts(ctx=ctx, contract_ids=(scenario.contract.id,)) == ()


def test_a_contract_has_one_workflow(scenario: Scenario):
    with pytest.raises(WorkflowExists) as refusal:
        call(WORKFLOW).start(ctx=scenario.world.ctx(scenario.seller), contract_id=scenario.contract.id)
    assert refusal.value.workflow_id == scenario.workflow.id
    with pytest.raises(Forbidden):
        call(WORKFLOW).start(ctx=scenario.world.ctx(scenario.buyer), contract_id=scenario.contract.id)


def test_a_contract_that_is_over_starts_no_workflow(world: World):
    seller, buyer = world.person(), world.person()
    contract = world.contract(seller, buyer)
    call(CONTRACTS).change_status(ctx=world.ctx(seller), contract_id=contract.id, status=ContractStatus.CANCELLED)
    with pytest.raises(ContractIsOver):
        call(WORKFLOW).start(ctx=world.ctx(seller), contract_id=contract.id)


def test_a_new_contract_starts_its_workflow_by_event_once(world: World):
    seller, buyer = world.person(), world.person()
    contract = world.contract(seller, buyer)
    created = ContractCreated(contract_id=contract.id, number=contract.number, participants=())
    event = envelope(created)
    ctx = world.ctx(key=str(event.event_id))
    first = call(WORKFLOW).receive(ctx=ctx, event=event)
    assert call(WORKFLOW).receive(ctx=ctx, event=event) == first
    assert deliver(world, created).effect == "ignored"
    (workflow,) = call(WORKFLOW).for_contracts(ctx=world.ctx(seller), contract_ids=(contract.id,))
    assert workflow.status is WorkflowStatus.ACTIVE


def test_only_system_work_looks_for_overdue_stages(scenario: Scenario):
    with pytest.raises(Forbidden):
        call(WORKFLOW).find_overdue(ctx=scenario.world.ctx(scenario.seller))
    assert call(WORKFLOW).find_overdue(ctx=scenario.world.ctx()).found >= 0
