"""The records of actions and stages are complete, and agree with what is derived from them."""

import inspect

import pytest
from django.utils.translation import override

from apps.extraction.decommission import action as decommission
from apps.extraction.decommission import old_tables
from apps.extraction.pipeline.actions import ACTIONS, at
from apps.extraction.pipeline.runner import TURNS
from apps.extraction.relocation import cutover, procedures, rehearsal, synchronisation
from apps.extraction.state.action import Step
from apps.extraction.state.phases import PHASES, STAGES, Decision
from apps.extraction.state.stages import Stage

MODULES = (decommission, old_tables, cutover, procedures, rehearsal, synchronisation)
STEPS = [step for module in MODULES for _, step in inspect.getmembers(module, lambda member: isinstance(member, Step))]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_is_shown_under_the_name_that_its_record_has(step: Step):
    with override("en"):
        assert str(step.words).startswith(f"{step.name}: ")


def test_every_stage_has_a_record_a_turn_of_the_pipeline_and_a_phase():
    assert list(STAGES) == list(Stage) == list(TURNS)
    assert [facts.phase.number for facts in STAGES.values()] == sorted(facts.phase.number for facts in STAGES.values())
    assert {facts.phase for facts in STAGES.values()} == set(PHASES)


def test_every_decision_has_a_question_and_is_made_in_one_phase():
    assert all("?" in str(decision.question) for decision in Decision)
    decisions = [decision for phase in PHASES for decision in phase.decisions]
    assert sorted(decisions) == sorted(set(Decision) - {Decision.AGAIN})


@pytest.mark.parametrize(
    ("stage", "names"),
    [
        (Stage.IN_PROCESS, ["prepare", "rehearse", "sync", "resume", "abort"]),
        (Stage.REMOTE, ["prepare", "rehearse", "sync", "resume", "abort"]),
        (Stage.SYNCING, ["verify", "resume", "abort"]),
        (Stage.VERIFIED, ["verify", "cutover", "resume", "abort"]),
        (Stage.CUTTING, ["resume", "abort"]),
        (Stage.REVERSIBLE, ["rollback", "commit", "resume", "abort"]),
        (Stage.COMMITTED, ["decommission", "resume", "abort"]),
        (Stage.DECOMMISSIONED, ["resume", "abort"]),
        (None, ["resume", "abort"]),
    ],
)
def test_what_can_be_asked_for_at_a_stage(stage: Stage | None, names: list[str]):
    assert [action.name for action in at(stage)] == names


def test_which_actions_switch_destroy_and_lead():
    assert {name for name, action in ACTIONS.items() if action.switches} == {"cutover", "rollback"}
    destroying = {"cutover", "rollback", "commit", "decommission", "abort"}
    assert {name for name, action in ACTIONS.items() if action.destroys} == destroying
    leading = destroying | {"resume"}
    assert {name for name, action in ACTIONS.items() if action.leads} == leading


def test_an_action_leads_on_to_a_stage_at_which_the_next_one_makes_sense():
    for action in ACTIONS.values():
        if action.leaves is not None and action.leaves is not Stage.DECOMMISSIONED:
            assert any(action.leaves in other.stages for other in ACTIONS.values() if not other.is_way_out)
