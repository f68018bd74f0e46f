"""Handlers of other apps' events: which people get a message of which kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from apps.contracts.interface import CONTRACTS, ContractCreated, ContractStatusChanged
from apps.core.interface.context import SYSTEM, CallContext
from apps.core.interface.events import EventEnvelope, EventReceipt, Handlers
from apps.core.seam.client.registry import call
from apps.core.seam.server.commands import command
from apps.documents.interface import DocumentStored
from apps.notifications.interface import NotificationKind
from apps.notifications.logic.creation import create_messages
from apps.signatures.interface import SignatureAccepted, SignatureRefused
from apps.workflow.interface import StageOverdue, StageStarted

K = NotificationKind


def on_contract_created(ctx: CallContext, envelope: EventEnvelope, event: ContractCreated) -> EventReceipt:
    """Notify everyone in the contract."""
    people = [participant.user_id for participant in event.participants]
    return _notify(ctx, envelope, people, K.CONTRACT_CREATED, event.contract_id, {"number": event.number})


def on_status_changed(ctx: CallContext, envelope: EventEnvelope, event: ContractStatusChanged) -> EventReceipt:
    """Notify everyone in the contract."""
    people = [participant.user_id for participant in event.participants]
    parameters = {
        "number": event.number,
        "previous": event.previous.value,
        "status": event.status.value,
        "comment": event.comment,
    }
    return _notify(ctx, envelope, people, K.STATUS_CHANGED, event.contract_id, parameters)


def on_document_stored(ctx: CallContext, envelope: EventEnvelope, event: DocumentStored) -> EventReceipt:
    """Notify everyone in the contract except the uploader."""
    people = [person for person in _people(ctx, event.contract_id) if person != event.uploaded_by]
    parameters = {"filename": event.original_filename, "document_type": event.document_type.value}
    return _notify(ctx, envelope, people, K.DOCUMENT_STORED, event.contract_id, parameters)


def on_signature_accepted(ctx: CallContext, envelope: EventEnvelope, event: SignatureAccepted) -> EventReceipt:
    """Notify everyone in the contract except the signer."""
    people = [person for person in _people(ctx, event.contract_id) if person != event.signer_id]
    return _notify(ctx, envelope, people, K.SIGNATURE_ACCEPTED, event.contract_id, {})


def on_signature_refused(ctx: CallContext, envelope: EventEnvelope, event: SignatureRefused) -> EventReceipt:
    """Notify the signer alone."""
    parameters = {"sub_indication": event.sub_indication.value}
    return _notify(ctx, envelope, [event.signer_id], K.SIGNATURE_REFUSED, event.contract_id, parameters)


def on_stage_started(ctx: CallContext, envelope: EventEnvelope, event: StageStarted) -> EventReceipt:
    """Notify everyone in the contract."""
    parameters = {"stage": event.stage, "planned_date": event.planned_date.isoformat()}
    people = _people(ctx, event.contract_id)
    return _notify(ctx, envelope, people, K.STAGE_STARTED, event.contract_id, parameters)


def on_stage_overdue(ctx: CallContext, envelope: EventEnvelope, event: StageOverdue) -> EventReceipt:
    """Notify everyone in the contract."""
    parameters = {"stage": event.stage, "planned_date": event.planned_date.isoformat()}
    people = _people(ctx, event.contract_id)
    return _notify(ctx, envelope, people, K.STAGE_OVERDUE, event.contract_id, parameters)


def _people(ctx: CallContext, contract_id: UUID) -> list[UUID]:
    participants = call(CONTRACTS).participants(ctx=ctx.as_actor(SYSTEM), contract_id=contract_id)
    return [participant.user_id for participant in participants]


def _notify(
    ctx: CallContext,
    envelope: EventEnvelope,
    people: Collection[UUID],
    kind: NotificationKind,
    contract_id: UUID,
    parameters: Mapping[str, str],
) -> EventReceipt:
    with command(ctx) as work:
        count = create_messages(
            event_id=envelope.event_id,
            recipients=people,
            kind=kind,
            contract_id=contract_id,
            parameters=parameters,
            sender=_sender(envelope, people),
        )
        return work.finish(EventReceipt(event_id=envelope.event_id, effect=f"told {count}"))


def _sender(envelope: EventEnvelope, people: Collection[UUID]) -> UUID | None:
    """The person whose act it is. A stage has none where an official began it, who leads many sales."""
    is_officials = envelope.type.startswith("workflow.") and envelope.actor_id not in people
    return None if is_officials else envelope.actor_id


HANDLERS: Handlers = {
    ContractCreated: on_contract_created,
    ContractStatusChanged: on_status_changed,
    DocumentStored: on_document_stored,
    SignatureAccepted: on_signature_accepted,
    SignatureRefused: on_signature_refused,
    StageStarted: on_stage_started,
    StageOverdue: on_stage_overdue,
}
