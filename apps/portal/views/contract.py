"""The page of one contract, its history, and moves of the contract and its stages.

Here: reading a contract with everything that belongs to it, in bulk, and the forms that move it. Not here: files and
signatures themselves (`documents.py`, `upload.py`, `signing.py`).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext

from apps.contracts.interface import CONTRACTS, ContractRights, ContractStatus
from apps.contracts.interface import Contract as ContractDto
from apps.core.interface.errors import DomainError
from apps.core.seam.client.registry import call
from apps.documents.interface import DOCUMENTS, DocumentType
from apps.portal import words
from apps.portal.files import files_of
from apps.portal.forms import MoveForm, StageForm, UploadForm
from apps.portal.views.page import Page, part, status_of
from apps.signatures.interface import SIGNATURES
from apps.workflow.interface import WORKFLOW, Stage, StageStatus, Workflow

OPEN = (ContractStatus.DRAFT, ContractStatus.AWAITING_SIGNATURES)


class Contract(Page):
    """One contract with everything that belongs to it, in six calls; its history is fetched when opened."""

    shows_unread = False  # the six calls are the page's own; the script fetches the count

    def get(self, request: HttpRequest, contract_id: UUID) -> HttpResponseBase:
        """The page."""
        contract = call(CONTRACTS).get(ctx=self.ctx, contract_id=contract_id)
        rights = self._rights(contract_id)
        documents = part(lambda: call(DOCUMENTS).for_contracts(ctx=self.ctx, contract_ids=(contract_id,)))
        ids = tuple(document.id for document in documents or ())
        signatures = part(lambda: call(SIGNATURES).for_documents(ctx=self.ctx, document_ids=ids)) if ids else ()
        courses = part(lambda: call(WORKFLOW).for_contracts(ctx=self.ctx, contract_ids=(contract_id,)))
        people = [document.uploaded_by for document in documents or ()]
        people += [signature.signer_id for signature in signatures or ()]
        names = self.names(contract.seller_id, contract.buyer_id, contract.agent_id, contract.lawyer_id, *people)
        return self.show(
            "contract.html",
            contract=contract,
            rights=rights,
            names=names,
            parties=_parties(contract),
            missing=contract.blockers if contract.status in OPEN else (),
            is_draft=contract.status == ContractStatus.DRAFT,
            files=None if documents is None else files_of(documents, signatures, self.ctx.actor.id),
            signatures_answer=signatures is not None,
            course=courses[-1] if courses else None,
            course_answers=courses is not None,
            stages=_stages(courses[-1]) if courses else (),
            move_form=MoveForm(auto_id="move_%s"),
            upload_form=UploadForm(types=words.choices(DocumentType)),
        )

    def _rights(self, contract_id: UUID) -> ContractRights:
        rights = call(CONTRACTS).rights(ctx=self.ctx, contract_ids=(contract_id,))
        if not rights:
            raise Http404
        return rights[0]


def _stages(course: Workflow) -> list[dict[str, Any]]:
    """The stages, each with a form if the person may move it."""
    return [
        {"stage": stage, "form": StageForm(auto_id=f"stage{stage.order}_%s") if stage.legal_moves else None}
        for stage in course.stages
    ]


def _parties(contract: ContractDto) -> list[tuple[str, UUID]]:
    """The parties with the words for their parts."""
    parts = (
        ("seller", contract.seller_id),
        ("buyer", contract.buyer_id),
        ("agent", contract.agent_id),
        ("lawyer", contract.lawyer_id),
    )
    return [(words.of_role(role), person) for role, person in parts if person is not None]


class History(Page):
    """The status history of a contract."""

    def get(self, request: HttpRequest, contract_id: UUID) -> HttpResponseBase:
        """The page; the contract's page also shows its list in place."""
        contract = call(CONTRACTS).get(ctx=self.ctx, contract_id=contract_id)
        changes = call(CONTRACTS).history(ctx=self.ctx, contract_id=contract_id)
        return self.show(
            "history.html", contract=contract, changes=changes[::-1], names=self.names(*(item.by for item in changes))
        )


class Move(Page):
    """Moving a contract to another status."""

    def get(self, request: HttpRequest, contract_id: UUID) -> HttpResponseBase:
        """The form with the legal moves and a comment."""
        return self._form(contract_id, MoveForm(auto_id="move_%s"))

    def post(self, request: HttpRequest, contract_id: UUID) -> HttpResponseBase:
        """Move the contract. A refused move shows its reason, and the form keeps the comment."""
        form = MoveForm(request.POST, auto_id="move_%s")
        asked = request.POST.get("status", "")
        if not form.is_valid() or not form.require_choice(asked in words.MOVES):
            return self._form(contract_id, form, status=422)
        status = ContractStatus(asked)
        try:
            call(CONTRACTS).change_status(
                ctx=self.ctx, contract_id=contract_id, status=status, comment=form.cleaned_data["comment"]
            )
        except DomainError as error:
            form.refuse(error)
            return self._form(contract_id, form, status=status_of(error))
        messages.success(request, gettext("The contract's status is now: %(status)s.") % {"status": words.of(status)})
        return redirect("portal:contract", contract_id)

    def _form(self, contract_id: UUID, form: MoveForm, *, status: int = 200) -> HttpResponse:
        rights = call(CONTRACTS).rights(ctx=self.ctx, contract_ids=(contract_id,))
        if not rights:
            raise Http404
        return self.show("move.html", status=status, rights=rights[0], move_form=form, contract_id=contract_id)


class MoveStage(Page):
    """Moving a stage to another status."""

    def get(self, request: HttpRequest, contract_id: UUID, stage_id: UUID) -> HttpResponseBase:
        """The form of one stage."""
        return self._form(contract_id, stage_id, StageForm())

    def post(self, request: HttpRequest, contract_id: UUID, stage_id: UUID) -> HttpResponseBase:
        """Move the stage."""
        form = StageForm(request.POST)
        asked = request.POST.get("status", "")
        if not form.is_valid() or not form.require_choice(asked in words.STAGE_MOVES):
            return self._form(contract_id, stage_id, form, status=422)
        course, stage = self._stage(contract_id, stage_id)
        status = StageStatus(asked)
        done_on = form.cleaned_data["actual_date"] if status == StageStatus.COMPLETED else None
        try:
            call(WORKFLOW).update_stage(
                ctx=self.ctx,
                workflow_id=course.id,
                stage_id=stage_id,
                status=status,
                actual_date=done_on,
                comment=form.cleaned_data["comment"],
            )
        except DomainError as error:
            form.refuse(error)
            return self._form(contract_id, stage_id, form, status=status_of(error))
        values = {"stage": words.of_stage(stage.name), "status": words.of(status)}
        messages.success(request, gettext("Stage “%(stage)s”: %(status)s.") % values)
        return redirect("portal:contract", contract_id)

    def _stage(self, contract_id: UUID, stage_id: UUID) -> tuple[Workflow, Stage]:
        for course in call(WORKFLOW).for_contracts(ctx=self.ctx, contract_ids=(contract_id,)):
            for stage in course.stages:
                if stage.id == stage_id:
                    return course, stage
        raise Http404

    def _form(self, contract_id: UUID, stage_id: UUID, form: StageForm, *, status: int = 200) -> HttpResponse:
        _, stage = self._stage(contract_id, stage_id)
        rights = call(CONTRACTS).rights(ctx=self.ctx, contract_ids=(contract_id,))
        if not rights:
            raise Http404
        item = {"stage": stage, "form": form}
        return self.show("stage.html", status=status, item=item, rights=rights[0], contract_id=contract_id)
