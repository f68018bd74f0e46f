"""A sale in stages: types, instances, stages, deadlines. The public file of `workflow`.

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
    """Kinds of workflow."""

    LAND_SALE = "land_sale", gettext_noop("land sale")


class WorkflowStatus(LabelledEnum):
    """The status of a whole workflow."""

    ACTIVE = "active", gettext_noop("The sale is under way")
    COMPLETED = "completed", gettext_noop("The sale is complete")
    CANCELLED = "cancelled", gettext_noop("The sale was called off")


class StageStatus(LabelledEnum):
    """The status of a stage."""

    PENDING = "pending", gettext_noop("Not started")
    IN_PROGRESS = "in_progress", gettext_noop("Under way")
    BLOCKED = "blocked", gettext_noop("Held up")
    COMPLETED = "completed", gettext_noop("Done")
    CANCELLED = "cancelled", gettext_noop("Called off")


# The stages of every kind of workflow, by their names on the wire.
STAGE_LABELS: dict[str, str] = {
    "preparation": gettext_noop("Preparation of documents"),
    "signing": gettext_noop("Signing of the contract"),
    "payment": gettext_noop("Payment"),
    "registration": gettext_noop("Registration of title"),
    "handover": gettext_noop("Handover of the plot"),
}


class Stage(Dto):
    """One stage. `responsible` lists the parts that complete it by its type; it is empty when an event does.

    `completed_by` lists those parts for this contract: without a lawyer, seller and buyer stand in. `legal_moves` are
    the actor's.
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
    """The workflow of one contract."""

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
    """The contract has a workflow already; creating a contract starts one."""

    message = gettext_noop("The contract has a workflow already.")
    workflow_id: UUID


class ContractIsOver(DomainError, code="contract_is_over", category=Category.CONFLICT):
    """The contract is completed or cancelled, so that no workflow can start."""

    message = gettext_noop("The contract is completed or cancelled.")


class IllegalStageMove(DomainError, code="illegal_stage_move", category=Category.CONFLICT):
    """The move is not possible from the stage's status."""

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
        """The responsible parts as text for people."""
        return ", ".join(self.responsible)


class StageDecidedByEvent(DomainError, code="stage_decided_by_event", category=Category.CONFLICT):
    """Signatures complete this stage, no person does."""

    message = gettext_noop("This stage completes by itself when both parties have signed the contract of sale.")


class BadActualDate(DomainError, code="bad_actual_date", category=Category.INVALID):
    """The actual date is in the future, or before the workflow began."""

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
    """A stage has passed its planned date; emitted once."""

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
    """How many stages have newly become overdue."""

    found: int


class WorkflowService(EventConsumer, Protocol):
    """Workflows of contracts."""

    @command
    def start(
        self, *, ctx: CallContext, contract_id: UUID, workflow_type: WorkflowType = WorkflowType.LAND_SALE
    ) -> Workflow:
        """Start a workflow by hand. Raises: contracts' ContractNotFound, Forbidden, ContractIsOver, WorkflowExists."""

    @query
    def get(self, *, ctx: CallContext, workflow_id: UUID) -> Workflow:
        """A workflow with its stages in order. Raises: WorkflowNotFound."""

    @query
    def for_contracts(self, *, ctx: CallContext, contract_ids: tuple[UUID, ...]) -> tuple[Workflow, ...]:
        """The workflows of these contracts, oldest first, for the contracts that the actor may see."""

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

        Raises: WorkflowNotFound, contracts' ContractNotFound, StageNotFound, StageDecidedByEvent, StageNotYours,
        IllegalStageMove, BadActualDate.
        """

    @command(timeout_ms=30_000)
    def find_overdue(self, *, ctx: CallContext) -> OverdueReport:
        """Emit events for stages past their planned date; system work only. Raises: Forbidden."""


WORKFLOW: ServiceKey[WorkflowService] = ServiceKey("workflow", WorkflowService)
