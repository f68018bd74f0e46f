"""The staged course of a sale: types, instances, stages, deadlines. The public file of `workflow`.

Here: errors, DTOs, events and the Protocol. Not here: the contract's own status (`contracts`).
"""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Protocol
from uuid import UUID

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Instant, Text
from apps.core.interface.errors import Category, DomainError, gettext_noop
from apps.core.interface.events import Event, EventConsumer
from apps.core.interface.labels import LabelledEnum
from apps.core.interface.operations import ServiceKey, command, query


class WorkflowType(LabelledEnum):
    """Kinds of course."""

    LAND_SALE = "land_sale", gettext_noop("land sale")


class WorkflowStatus(LabelledEnum):
    """Where a course stands as a whole."""

    ACTIVE = "active", gettext_noop("The sale is under way")
    COMPLETED = "completed", gettext_noop("The sale is complete")
    CANCELLED = "cancelled", gettext_noop("The sale was called off")


class StageStatus(LabelledEnum):
    """Where a stage stands."""

    PENDING = "pending", gettext_noop("Not started")
    IN_PROGRESS = "in_progress", gettext_noop("Under way")
    BLOCKED = "blocked", gettext_noop("Held up")
    COMPLETED = "completed", gettext_noop("Done")
    CANCELLED = "cancelled", gettext_noop("Called off")


# The stages of every kind of course, by the name that travels.
STAGE_LABELS: dict[str, str] = {
    "preparation": gettext_noop("Preparation of documents"),
    "signing": gettext_noop("Signing of the contract"),
    "payment": gettext_noop("Payment"),
    "registration": gettext_noop("Registration of title"),
    "handover": gettext_noop("Handover of the plot"),
}


class Stage(Dto):
    """One stage. `responsible` are the parts in the contract that complete it; empty where an event does.

    `completed_by` are those parts in this very contract: where it has no lawyer, the parties stand in. `legal_moves` are
    the asking person's.
    """

    id: UUID
    name: str
    order: int
    status: StageStatus
    planned_date: date
    actual_date: date | None
    comment: str
    responsible: tuple[str, ...]
    completed_by: tuple[str, ...] = ()
    legal_moves: tuple[StageStatus, ...] = ()


class Workflow(Dto):
    """The course of one contract."""

    id: UUID
    contract_id: UUID
    workflow_type: WorkflowType
    status: WorkflowStatus
    current_stage: str | None
    stages: tuple[Stage, ...]
    created_at: Instant


class WorkflowNotFound(DomainError, code="workflow_not_found", category=Category.NOT_FOUND):
    """No such workflow, or none that the actor may see."""

    message = gettext_noop("There is no such workflow.")


class StageNotFound(DomainError, code="stage_not_found", category=Category.NOT_FOUND):
    """The workflow has no such stage."""

    message = gettext_noop("There is no such stage.")


class WorkflowExists(DomainError, code="workflow_exists", category=Category.CONFLICT):
    """The contract has a workflow under way; creating a contract starts it."""

    message = gettext_noop("The contract has a workflow already.")
    workflow_id: UUID


class ContractIsOver(DomainError, code="contract_is_over", category=Category.CONFLICT):
    """A contract that is completed or cancelled starts no workflow."""

    message = gettext_noop("The contract is completed or cancelled.")


class IllegalStageMove(DomainError, code="illegal_stage_move", category=Category.CONFLICT):
    """The stage cannot go there from where it stands."""

    message = gettext_noop("From “{current}” the stage cannot go to “{asked}”. Possible: {possible}.")
    current: StageStatus
    asked: StageStatus
    legal: tuple[StageStatus, ...]

    @property
    def possible(self) -> str:
        """The legal moves as a list for people."""
        return ", ".join(self.legal) or "—"


class StageNotYours(DomainError, code="stage_not_yours", category=Category.FORBIDDEN):
    """Another part in the contract completes this stage."""

    message = gettext_noop("This stage is completed by: {who}.")
    responsible: tuple[str, ...]

    @property
    def who(self) -> str:
        """The responsible parts for people."""
        return ", ".join(self.responsible)


class StageDecidedByEvent(DomainError, code="stage_decided_by_event", category=Category.CONFLICT):
    """No person completes this stage: signatures do."""

    message = gettext_noop("This stage completes by itself when both parties have signed the contract of sale.")


class BadActualDate(DomainError, code="bad_actual_date", category=Category.INVALID):
    """A stage is not completed in the future, nor before the workflow began."""

    message = gettext_noop("The actual date is from the start of the workflow to today.")


class StageStarted(Event):
    """A stage became the current one."""

    TYPE: ClassVar[str] = "workflow.stage_started"
    workflow_id: UUID
    contract_id: UUID
    stage: str
    planned_date: date


class StageCompleted(Event):
    """A stage is done."""

    TYPE: ClassVar[str] = "workflow.stage_completed"
    workflow_id: UUID
    contract_id: UUID
    stage: str
    actual_date: date


class StageOverdue(Event):
    """A stage has passed its planned date; told once."""

    TYPE: ClassVar[str] = "workflow.stage_overdue"
    workflow_id: UUID
    contract_id: UUID
    stage: str
    planned_date: date


class WorkflowCompleted(Event):
    """Every stage is done."""

    TYPE: ClassVar[str] = "workflow.completed"
    workflow_id: UUID
    contract_id: UUID


class OverdueReport(Dto):
    """How many stages were newly found overdue."""

    found: int


class WorkflowService(EventConsumer, Protocol):
    """Workflows of contracts."""

    @command
    def start(
        self, *, ctx: CallContext, contract_id: UUID, workflow_type: WorkflowType = WorkflowType.LAND_SALE
    ) -> Workflow:
        """Start a workflow by hand. Raises: contracts' ContractNotFound, Forbidden, WorkflowExists, ContractIsOver."""

    @query
    def get(self, *, ctx: CallContext, workflow_id: UUID) -> Workflow:
        """A workflow with its stages in order. Raises: WorkflowNotFound."""

    @query
    def for_contracts(self, *, ctx: CallContext, contract_ids: tuple[UUID, ...]) -> tuple[Workflow, ...]:
        """The workflows of these contracts, oldest first, as far as the actor may see the contracts."""

    @command
    def update_stage(
        self,
        *,
        ctx: CallContext,
        workflow_id: UUID,
        stage_id: UUID,
        status: StageStatus,
        actual_date: date | None = None,
        comment: Text = "",
    ) -> Workflow:
        """Move a stage; when it completes, the next one starts.

        Raises: WorkflowNotFound, StageNotFound, StageNotYours, StageDecidedByEvent, IllegalStageMove, BadActualDate.
        """

    @command(timeout_ms=30_000)
    def find_overdue(self, *, ctx: CallContext) -> OverdueReport:
        """Tell about stages past their planned date; system work. Raises: Forbidden."""


WORKFLOW: ServiceKey[WorkflowService] = ServiceKey("workflow", WorkflowService)
