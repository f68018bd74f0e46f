"""Every code has a word, and values are written as the reader's language writes them."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.utils.translation import override

from apps.contracts.interface import ContractStatus, IllegalStatusMove
from apps.core.interface.labels import LabelledEnum
from apps.core.seam.client.registry import call
from apps.portal import words
from apps.portal.forms import PlotForm
from apps.portal.templatetags import portal as filters
from apps.portal.tests.people import Person
from apps.signatures.interface import SubIndication
from apps.workflow.interface import STAGE_LABELS, WORKFLOW, IllegalStageMove, StageNotYours, StageStatus


@pytest.mark.parametrize("kind", LabelledEnum.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_code_has_a_word(kind: type[LabelledEnum]):
    for member in kind:
        if member is not SubIndication.NONE:
            assert member.label
            with override("en"):
                assert words.of(member) != member.value


def test_every_stage_and_every_move_has_a_word():
    seller = Person()
    contract = seller.sells_to(Person())
    (course,) = call(WORKFLOW).for_contracts(ctx=seller.ctx, contract_ids=(contract.id,))
    assert {stage.name for stage in course.stages} == set(STAGE_LABELS)
    assert set(words.MOVES) == set(ContractStatus)


def test_codes_inside_refusals_are_in_words():
    move = IllegalStatusMove(
        current=ContractStatus.DRAFT, asked=ContractStatus.COMPLETED, legal=(ContractStatus.CANCELLED,)
    )
    stage = IllegalStageMove(current=StageStatus.COMPLETED, asked=StageStatus.BLOCKED, legal=())
    with override("en"):
        text = words.of_refusal(move)
        assert "“Draft”" in text
        assert "Possible: Cancelled." in text
        assert words.of_refusal(stage).endswith("Possible: —.")
        assert words.of_refusal(StageNotYours(responsible=("lawyer",))) == "This stage is completed by: Lawyer."


@pytest.mark.parametrize(
    ("language", "written"), [("ru", "4\u00a0500\u00a0000,50\u00a0₽"), ("en", "4,500,000.50\u00a0₽")]
)
def test_money_is_written_as_the_language_does(language, written):
    contract = SimpleNamespace(price=Decimal("4500000.50"), currency="RUB")
    with override(language):
        assert filters.price(contract) == written


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("4500000", "4500000"),
        ("4 500 000,50", "4500000.50"),
        ("4\u00a0500\u00a0000.50", "4500000.50"),
        ("4,500,000.50", "4500000.50"),
        ("4.500.000,50", "4500000.50"),
        ("1,5", "1.5"),
    ],
)
def test_amounts_are_read_as_people_write_them(typed, read):
    form = PlotForm({"cadastral_number": "1", "address": "x", "area_m2": typed, "category": "forest"})
    assert form.is_valid()
    assert form.cleaned_data["area_m2"] == Decimal(read)
