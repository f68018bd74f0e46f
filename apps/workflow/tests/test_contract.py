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
from apps.workflow.tests.course import Course, deliver
from tests.world import World, envelope

S = StageStatus


@pytest.fixture
def course(world: World) -> Course:
    return Course(world)


def test_a_course_has_its_stages_in_order_and_the_first_under_way(course: Course):
    stages = course.workflow.stages
    assert [stage.name for stage in stages] == ["preparation", "signing", "payment", "registration", "handover"]
    assert [stage.order for stage in stages] == [1, 2, 3, 4, 5]
    assert [stage.status for stage in stages] == [S.IN_PROGRESS, S.PENDING, S.PENDING, S.PENDING, S.PENDING]
    begun = timezone.localdate(course.workflow.created_at)
    assert [(stage.planned_date - begun).days for stage in stages] == [7, 10, 15, 28, 31]
    ctx = course.world.ctx(course.seller)
    assert call(WORKFLOW).get(ctx=ctx, workflow_id=course.workflow.id) == course.workflow
    assert call(WORKFLOW).for_contracts(ctx=ctx, contract_ids=(course.contract.id,)) == (course.workflow,)


def legal(course: Course, person) -> list[tuple[StageStatus, ...]]:
    workflow = call(WORKFLOW).get(ctx=course.world.ctx(person), workflow_id=course.workflow.id)
    return [stage.legal_moves for stage in workflow.stages]


def test_each_person_gets_their_own_moves(course: Course):
    """The buyer completes no preparation, and a stage that has not begun cannot be moved."""
    for person in (course.lawyer, course.seller):
        assert legal(course, person) == [(S.COMPLETED, S.BLOCKED), (), (), (), ()]
    assert legal(course, course.buyer) == [(), (), (), (), ()]
    assert course.workflow.stages[0].completed_by == ("seller", "agent", "lawyer")
    after = course.move(course.lawyer, 0, S.COMPLETED)
    # Signatures complete the second stage: the people of the contract may only report an obstacle.
    assert after.stages[1].completed_by == ()
    assert legal(course, course.buyer)[:2] == [(), (S.BLOCKED,)]


def test_a_move_that_is_offered_is_made_and_one_that_is_not_is_refused(course: Course):
    for person in (course.seller, course.buyer, course.lawyer):
        offered = legal(course, person)[0]
        for status in (S.BLOCKED, S.IN_PROGRESS):
            if status in offered:
                course.move(person, 0, status)
                course.move(person, 0, S.IN_PROGRESS)
            else:
                with pytest.raises((StageNotYours, IllegalStageMove)):
                    course.move(person, 0, status)


def test_without_a_lawyer_the_parties_stand_in(world: World):
    course = Course(world, with_lawyer=False)
    assert course.workflow.stages[0].completed_by == ("seller", "agent", "lawyer", "buyer")
    assert legal(course, course.buyer)[0] == (S.COMPLETED, S.BLOCKED)
    assert course.move(course.buyer, 0, S.COMPLETED).current_stage == "signing"


def test_a_completed_stage_starts_the_next(course: Course):
    after = course.move(course.lawyer, 0, S.COMPLETED, comment="Документы собраны")
    assert (after.stages[0].status, after.stages[0].comment) == (S.COMPLETED, "Документы собраны")
    assert after.stages[0].actual_date is not None
    assert (after.stages[1].status, after.current_stage) == (S.IN_PROGRESS, "signing")


def test_a_stage_is_blocked_and_unblocked(course: Course):
    assert course.move(course.seller, 0, S.BLOCKED, comment="Нет выписки").current_stage == "preparation"
    assert course.move(course.seller, 0, S.IN_PROGRESS).stages[0].status is S.IN_PROGRESS


def test_illegal_moves_are_refused_with_the_legal_ones(course: Course):
    with pytest.raises(IllegalStageMove) as refusal:
        course.move(course.seller, 2, S.COMPLETED)  # not its turn
    assert (refusal.value.current, refusal.value.legal) == (S.PENDING, ())
    with pytest.raises(IllegalStageMove) as refusal:
        course.move(course.seller, 0, S.PENDING)
    assert set(refusal.value.legal) == {S.COMPLETED, S.BLOCKED}


def test_each_stage_has_its_people_and_signing_has_none(course: Course):
    with pytest.raises(StageNotYours) as refusal:
        course.move(course.buyer, 0, S.COMPLETED)
    assert "seller" in refusal.value.responsible
    course.move(course.seller, 0, S.COMPLETED)
    with pytest.raises(StageDecidedByEvent):
        course.move(course.seller, 1, S.COMPLETED)


@pytest.mark.parametrize("days", [-1, 1])
def test_a_stage_is_not_done_in_the_future_nor_before_the_course_began(course: Course, days: int):
    with pytest.raises(BadActualDate):
        course.move(course.seller, 0, S.COMPLETED, actual_date=timezone.localdate() + timedelta(days=days))


def test_strangers_and_unknown_stages(course: Course):
    stranger = course.world.person()
    with pytest.raises(WorkflowNotFound):
        call(WORKFLOW).get(ctx=course.world.ctx(stranger), workflow_id=course.workflow.id)
    with pytest.raises(WorkflowNotFound):
        course.move(stranger, 0, S.COMPLETED)
    with pytest.raises(ContractNotFound):
        call(WORKFLOW).start(ctx=course.world.ctx(stranger), contract_id=course.contract.id)
    with pytest.raises(StageNotFound):
        call(WORKFLOW).update_stage(
            ctx=course.world.ctx(course.seller), workflow_id=course.workflow.id, stage_id=uuid4(), status=S.COMPLETED
        )
    ctx = course.world.ctx(stranger)
    assert call(WORKFLOW).for_contracts(ctx=ctx, contract_ids=(course.contract.id,)) == ()


def test_a_contract_has_one_course(course: Course):
    with pytest.raises(WorkflowExists) as refusal:
        call(WORKFLOW).start(ctx=course.world.ctx(course.seller), contract_id=course.contract.id)
    assert refusal.value.workflow_id == course.workflow.id
    with pytest.raises(Forbidden):
        call(WORKFLOW).start(ctx=course.world.ctx(course.buyer), contract_id=course.contract.id)


def test_a_contract_that_is_over_starts_no_course(world: World):
    seller, buyer = world.person(), world.person()
    contract = world.contract(seller, buyer)
    call(CONTRACTS).change_status(ctx=world.ctx(seller), contract_id=contract.id, status=ContractStatus.CANCELLED)
    with pytest.raises(ContractIsOver):
        call(WORKFLOW).start(ctx=world.ctx(seller), contract_id=contract.id)


def test_a_new_contract_starts_its_course_by_event_once(world: World):
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


def test_only_system_work_looks_for_overdue_stages(course: Course):
    with pytest.raises(Forbidden):
        call(WORKFLOW).find_overdue(ctx=course.world.ctx(course.seller))
    assert call(WORKFLOW).find_overdue(ctx=course.world.ctx()).found >= 0
