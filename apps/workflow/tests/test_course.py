"""The course of a workflow: what other apps' events make of its stages, on all four sides of the seam."""

from datetime import timedelta

import msgspec
import pytest
from django.db import connections
from django.utils import timezone

from apps.contracts.interface import ContractStatus
from apps.core.database.primaries import database_of
from apps.core.ids import new_id
from apps.core.interface.errors import ServiceBusy
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentType
from apps.workflow.interface import WORKFLOW, StageNotYours, StageStatus, WorkflowStatus
from apps.workflow.tests.course import Course
from tests.world import World

S = StageStatus
DONE, NOW, LATER = S.COMPLETED, S.IN_PROGRESS, S.PENDING


@pytest.fixture
def course(world: World) -> Course:
    return Course(world)


def test_the_stored_contract_of_sale_completes_the_preparation(course: Course):
    assert course.stored(DocumentType.OTHER).effect == "ignored"
    assert course.statuses() == [NOW, LATER, LATER, LATER, LATER]
    assert course.stored().effect == "preparation"
    assert course.statuses() == [DONE, NOW, LATER, LATER, LATER]
    assert course.now.stages[0].actual_date == timezone.localdate()
    assert course.stored().effect == "preparation"  # a newer version moves nothing
    assert course.statuses() == [DONE, NOW, LATER, LATER, LATER]


def test_the_signed_contract_completes_the_signing(course: Course):
    course.stored()
    assert course.changed(ContractStatus.AWAITING_SIGNATURES).effect == "awaiting_signatures"
    assert course.statuses() == [DONE, NOW, LATER, LATER, LATER]
    assert course.changed(ContractStatus.SIGNED).effect == "signed"
    assert course.statuses() == [DONE, DONE, NOW, LATER, LATER]


def test_a_condition_that_is_met_early_completes_its_stage_in_its_turn(course: Course):
    course.changed(ContractStatus.SIGNED)
    assert course.statuses() == [NOW, LATER, LATER, LATER, LATER]
    course.stored()
    assert course.statuses() == [DONE, DONE, NOW, LATER, LATER]
    assert course.now.stages[1].actual_date == timezone.localdate()


def test_registration_by_hand_completes_what_stands_before_it(course: Course):
    course.move(course.lawyer, 0, DONE, comment="Все бумаги собраны")
    course.changed(ContractStatus.IN_REGISTRATION, "Оплата прошла через банк")
    assert course.statuses() == [DONE, DONE, DONE, NOW, LATER]
    comments = [stage.comment for stage in course.now.stages]
    assert comments == ["Все бумаги собраны", "Оплата прошла через банк", "Оплата прошла через банк", "", ""]
    assert course.now.status is WorkflowStatus.ACTIVE


def test_the_completed_contract_completes_every_stage(course: Course):
    course.changed(ContractStatus.COMPLETED, "Право зарегистрировано")
    assert course.statuses() == [DONE] * 5
    assert (course.now.status, course.now.current_stage) == (WorkflowStatus.COMPLETED, None)
    assert {stage.comment for stage in course.now.stages} == {"Право зарегистрировано"}
    assert course.changed(ContractStatus.CANCELLED).effect == "ignored"
    assert course.now.status is WorkflowStatus.COMPLETED


def test_the_cancelled_contract_ends_the_stages_that_are_left(course: Course):
    course.stored()
    assert course.changed(ContractStatus.CANCELLED).effect == "cancelled"
    assert course.statuses() == [DONE, S.CANCELLED, S.CANCELLED, S.CANCELLED, S.CANCELLED]
    assert (course.now.status, course.now.current_stage) == (WorkflowStatus.CANCELLED, None)
    for after in (course.stored(), course.changed(ContractStatus.SIGNED)):
        assert after.effect == "ignored"
    assert course.statuses()[1:] == [S.CANCELLED] * 4


def test_the_last_stage_completes_the_course(course: Course):
    course.changed(ContractStatus.IN_REGISTRATION)
    course.move(course.lawyer, 3, DONE)
    assert course.statuses() == [DONE, DONE, DONE, DONE, NOW]
    after = course.move(course.buyer, 4, DONE)
    assert (after.status, after.current_stage) == (WorkflowStatus.COMPLETED, None)


def test_an_event_before_the_course_has_begun_is_delivered_again(world: World):
    course = Course(world)
    course.contract = msgspec.structs.replace(course.contract, id=new_id())  # nothing is known of it yet
    for early in (course.stored, lambda: course.changed(ContractStatus.SIGNED)):
        with pytest.raises(ServiceBusy):
            early()


def test_the_registrar_completes_the_registration_and_nothing_else(course: Course):
    world, registrar = course.world, course.world.person()
    course.changed(ContractStatus.SIGNED)
    course.stored()

    def complete(stage: int, *roles: str):
        return call(WORKFLOW).update_stage(
            ctx=world.ctx(registrar, *roles),
            workflow_id=course.workflow.id,
            stage_id=course.workflow.stages[stage].id,
            status=DONE,
        )

    with pytest.raises(StageNotYours):
        complete(2, "registrar")
    complete(2, "administrator")
    assert complete(3, "registrar").stages[3].status is DONE


def test_an_obstacle_keeps_the_stage_under_way(course: Course):
    course.move(course.seller, 0, S.BLOCKED, comment="Нет выписки")
    assert (course.now.current_stage, course.now.stages[0].actual_date) == ("preparation", None)
    course.move(course.lawyer, 0, DONE)
    assert course.now.stages[0].comment == "Нет выписки"
    assert course.now.stages[0].actual_date == timezone.localdate()


def test_an_overdue_stage_is_told_once(here: World):
    course, other = Course(here), Course(here)
    call(WORKFLOW).find_overdue(ctx=here.ctx())
    yesterday = timezone.localdate() - timedelta(days=1)
    with connections[database_of("workflow")].cursor() as cursor:  # nothing else makes a date pass
        sql = "UPDATE workflow_stage SET planned_date = %s WHERE id = %s"
        cursor.execute(sql, [yesterday, course.workflow.stages[0].id])
        cursor.execute(sql, [timezone.localdate(), other.workflow.stages[0].id])
        cursor.execute(sql, [yesterday, other.workflow.stages[1].id])  # not its turn yet
    call(WORKFLOW).find_overdue(ctx=here.ctx())
    assert overdue(course) == ["preparation"]
    assert overdue(other) == []
    course.move(course.seller, 0, S.BLOCKED)
    call(WORKFLOW).find_overdue(ctx=here.ctx())
    assert overdue(course) == ["preparation"]


def overdue(course: Course) -> list[str]:
    """The stages whose delay was published."""
    with connections[database_of("workflow")].cursor() as cursor:
        cursor.execute(
            "SELECT convert_from(payload, 'UTF8')::json ->> 'stage' FROM workflow_outbox"
            " WHERE type = 'workflow.stage_overdue' AND aggregate_id = %s",
            [course.workflow.id],
        )
        return [stage for (stage,) in cursor.fetchall()]
