"""The progress of a workflow: what other apps' events make of its stages, on all four sides of the seam."""

from datetime import timedelta

import msgspec
import pytest
from django.db import connections
from django.utils import timezone

from apps.contracts.interface import ContractCreated, ContractStatus
from apps.core.database.primaries import database_of
from apps.core.ids import new_id
from apps.core.interface.errors import RemoteCallFailed, ServiceBusy
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentType
from apps.workflow.interface import WORKFLOW, StageNotYours, StageStatus, WorkflowStatus
from apps.workflow.tests.scenario import Scenario, deliver
from tests.world import World

S = StageStatus
DONE, NOW, LATER = S.COMPLETED, S.IN_PROGRESS, S.PENDING


@pytest.fixture
def scenario(world: World) -> Scenario:
    return Scenario(world)


def test_the_stored_contract_of_sale_completes_the_preparation(scenario: Scenario):
    assert scenario.stored(DocumentType.OTHER).effect == "ignored"
    assert scenario.statuses() == [NOW, LATER, LATER, LATER, LATER]
    assert scenario.stored().effect == "preparation"
    assert scenario.statuses() == [DONE, NOW, LATER, LATER, LATER]
    assert scenario.now.stages[0].actual_date == timezone.localdate()
    assert scenario.stored().effect == "preparation"  # a newer version moves nothing
    assert scenario.statuses() == [DONE, NOW, LATER, LATER, LATER]


def test_the_signed_contract_completes_the_signing(scenario: Scenario):
    scenario.stored()
    assert scenario.changed(ContractStatus.AWAITING_SIGNATURES).effect == "awaiting_signatures"
    assert scenario.statuses() == [DONE, NOW, LATER, LATER, LATER]
    assert scenario.changed(ContractStatus.SIGNED).effect == "signed"
    assert scenario.statuses() == [DONE, DONE, NOW, LATER, LATER]


def test_a_condition_that_is_met_early_completes_its_stage_in_its_turn(scenario: Scenario):
    scenario.changed(ContractStatus.SIGNED)
    assert scenario.statuses() == [NOW, LATER, LATER, LATER, LATER]
    scenario.stored()
    assert scenario.statuses() == [DONE, DONE, NOW, LATER, LATER]
    assert scenario.now.stages[1].actual_date == timezone.localdate()


def test_registration_by_hand_completes_what_stands_before_it(scenario: Scenario):
    scenario.move(scenario.lawyer, 0, DONE, comment="Все бумаги собраны")
    scenario.changed(ContractStatus.IN_REGISTRATION, "Оплата прошла через банк")
    assert scenario.statuses() == [DONE, DONE, DONE, NOW, LATER]
    comments = [stage.comment for stage in scenario.now.stages]
    assert comments == ["Все бумаги собраны", "Оплата прошла через банк", "Оплата прошла через банк", "", ""]
    assert scenario.now.status is WorkflowStatus.ACTIVE


def test_the_completed_contract_completes_every_stage(scenario: Scenario):
    scenario.changed(ContractStatus.COMPLETED, "Право зарегистрировано")
    assert scenario.statuses() == [DONE] * 5
    assert (scenario.now.status, scenario.now.current_stage) == (WorkflowStatus.COMPLETED, None)
    assert {stage.comment for stage in scenario.now.stages} == {"Право зарегистрировано"}
    for late in (scenario.changed(ContractStatus.CANCELLED), scenario.created()):
        assert late.effect == "ignored"
    assert scenario.now.status is WorkflowStatus.COMPLETED


def test_the_cancelled_contract_ends_the_stages_that_are_left(scenario: Scenario):
    scenario.stored()
    assert scenario.changed(ContractStatus.CANCELLED).effect == "cancelled"
    assert scenario.statuses() == [DONE, S.CANCELLED, S.CANCELLED, S.CANCELLED, S.CANCELLED]
    assert (scenario.now.status, scenario.now.current_stage) == (WorkflowStatus.CANCELLED, None)
    for after in (scenario.stored(), scenario.changed(ContractStatus.SIGNED)):
        assert after.effect == "ignored"
    assert scenario.statuses()[1:] == [S.CANCELLED] * 4


def test_the_last_stage_completes_the_workflow(scenario: Scenario):
    scenario.changed(ContractStatus.IN_REGISTRATION)
    scenario.move(scenario.lawyer, 3, DONE)
    assert scenario.statuses() == [DONE, DONE, DONE, DONE, NOW]
    after = scenario.move(scenario.buyer, 4, DONE)
    assert (after.status, after.current_stage) == (WorkflowStatus.COMPLETED, None)


def test_an_event_before_the_workflow_has_begun_is_delivered_again(world: World):
    scenario = Scenario(world)
    scenario.contract = msgspec.structs.replace(scenario.contract, id=new_id())  # nothing is known of it yet
    for early in (scenario.stored, lambda: scenario.changed(ContractStatus.SIGNED)):
        with pytest.raises(ServiceBusy):
            early()


def test_an_event_that_this_build_does_not_know_is_a_fault_and_stays_undelivered(scenario: Scenario):
    created = ContractCreated(contract_id=scenario.contract.id, number="1", participants=())
    for changes in ({"type": "unheard.of"}, {"payload": msgspec.Raw(b"[]")}):
        with pytest.raises((RemoteCallFailed, LookupError, msgspec.ValidationError)):
            deliver(scenario.world, created, **changes)


def test_the_registrar_completes_the_registration_and_nothing_else(scenario: Scenario):
    world, registrar = scenario.world, scenario.world.person()
    scenario.changed(ContractStatus.SIGNED)
    scenario.stored()

    def complete(stage: int, *roles: str):
        return call(WORKFLOW).update_stage(
            ctx=world.ctx(registrar, *roles),
            workflow_id=scenario.workflow.id,
            stage_id=scenario.workflow.stages[stage].id,
            status=DONE,
        )

    with pytest.raises(StageNotYours):
        complete(2, "registrar")
    complete(2, "administrator")
    assert complete(3, "registrar").stages[3].status is DONE


def test_an_obstacle_keeps_the_stage_under_way(scenario: Scenario):
    scenario.move(scenario.seller, 0, S.BLOCKED, comment="Нет выписки")
    assert (scenario.now.current_stage, scenario.now.stages[0].actual_date) == ("preparation", None)
    scenario.move(scenario.lawyer, 0, DONE)
    assert scenario.now.stages[0].comment == "Нет выписки"
    assert scenario.now.stages[0].actual_date == timezone.localdate()


def test_an_overdue_stage_is_told_once(here: World):
    scenario, other = Scenario(here), Scenario(here)
    call(WORKFLOW).find_overdue(ctx=here.ctx())
    yesterday = timezone.localdate() - timedelta(days=1)
    with connections[database_of("workflow")].cursor() as cursor:  # nothing else makes a date pass
        sql = "UPDATE workflow_stage SET planned_date = %s WHERE id = %s"
        cursor.execute(sql, [yesterday, scenario.workflow.stages[0].id])
        cursor.execute(sql, [timezone.localdate(), other.workflow.stages[0].id])
        cursor.execute(sql, [yesterday, other.workflow.stages[1].id])  # not its turn yet
    call(WORKFLOW).find_overdue(ctx=here.ctx())
    assert overdue(scenario) == ["preparation"]
    assert overdue(other) == []
    scenario.move(scenario.seller, 0, S.BLOCKED)
    call(WORKFLOW).find_overdue(ctx=here.ctx())
    assert overdue(scenario) == ["preparation"]


def overdue(scenario: Scenario) -> list[str]:
    """The stages whose delay was published."""
    with connections[database_of("workflow")].cursor() as cursor:
        cursor.execute(
            "SELECT convert_from(payload, 'UTF8')::json ->> 'stage' FROM workflow_outbox"
            " WHERE type = 'workflow.stage_overdue' AND aggregate_id = %s",
            [scenario.workflow.id],
        )
        return [stage for (stage,) in cursor.fetchall()]
