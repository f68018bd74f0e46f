"""A fake of notifications for other apps' tests: messages in memory, no e-mail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.utils import translation

from apps.contracts.interface import CONTRACTS, ContractCreated, ContractStatusChanged
from apps.core.ids import new_id
from apps.core.interface.context import SYSTEM, CallContext
from apps.core.interface.errors import Forbidden
from apps.core.interface.events import Event, EventEnvelope, EventReceipt
from apps.core.seam.client.registry import call
from apps.documents.interface import DocumentStored
from apps.notifications.interface import (
    CursorText,
    MailReport,
    Notification,
    NotificationKind,
    NotificationNotFound,
    NotificationPage,
    PageSize,
)
from apps.notifications.logic import keyset
from apps.notifications.logic.texts import in_words
from apps.signatures.interface import SignatureAccepted, SignatureRefused
from apps.workflow.interface import StageOverdue, StageStarted

K = NotificationKind
KINDS: dict[str, tuple[NotificationKind, type[Event]]] = {
    ContractCreated.TYPE: (K.CONTRACT_CREATED, ContractCreated),
    ContractStatusChanged.TYPE: (K.STATUS_CHANGED, ContractStatusChanged),
    DocumentStored.TYPE: (K.DOCUMENT_STORED, DocumentStored),
    SignatureAccepted.TYPE: (K.SIGNATURE_ACCEPTED, SignatureAccepted),
    SignatureRefused.TYPE: (K.SIGNATURE_REFUSED, SignatureRefused),
    StageStarted.TYPE: (K.STAGE_STARTED, StageStarted),
    StageOverdue.TYPE: (K.STAGE_OVERDUE, StageOverdue),
}
list_ = list  # the class has a method of that name


class FakeNotifications:
    """Implements `NotificationsService` in memory."""

    def __init__(self) -> None:
        self._messages: list[Notification] = []
        self._parameters: dict[UUID, dict[str, str]] = {}

    def list(
        self,
        *,
        ctx: CallContext,
        unread_only: bool = False,
        limit: PageSize = 50,
        cursor: CursorText | None = None,
    ) -> NotificationPage:
        own = [item for item in reversed(self._messages) if item.recipient_id == ctx.actor.id]
        unread = [item for item in own if item.read_at is None]
        messages = unread if unread_only else own
        if cursor is not None:
            last = keyset.decode(cursor)
            messages = [item for item in messages if item.id < last]
        next_cursor = str(messages[limit - 1].id) if len(messages) > limit else None
        items = tuple(self._in_words(ctx, message) for message in messages[:limit])
        return NotificationPage(items=items, unread=len(unread), next_cursor=next_cursor)

    def unread_count(self, *, ctx: CallContext) -> int:
        return self.list(ctx=ctx).unread

    def mark_read(self, *, ctx: CallContext, notification_id: UUID) -> Notification:
        for index, item in enumerate(self._messages):
            if (item.id, item.recipient_id) == (notification_id, ctx.actor.id):
                read = msgspec.structs.replace(item, read_at=item.read_at or datetime.now(UTC))
                self._messages[index] = read
                return self._in_words(ctx, read)
        raise NotificationNotFound

    def mark_all_read(self, *, ctx: CallContext) -> int:
        unread = [item for item in self._messages if item.recipient_id == ctx.actor.id and item.read_at is None]
        for item in unread:
            self.mark_read(ctx=ctx, notification_id=item.id)
        return len(unread)

    def send_mail(self, *, ctx: CallContext) -> MailReport:
        if not ctx.actor.has("system"):
            raise Forbidden
        return MailReport(sent=0, failed=0)

    def receive(self, *, ctx: CallContext, event: EventEnvelope) -> EventReceipt:
        kind, parse = KINDS.get(event.type, (None, None))
        if kind is None or parse is None:
            raise LookupError(f"no handler takes {event.type}")
        fact: Any = msgspec.json.decode(event.payload, type=parse)
        people = self._recipients(ctx, kind, fact)
        for person in people:
            fields = {"recipient_id": person, "contract_id": fact.contract_id, "created_at": datetime.now(UTC)}
            message = Notification(id=new_id(), kind=kind, title="", body="", read_at=None, **fields)
            self._messages.append(message)
            self._parameters[message.id] = parameters_of(fact)
        return EventReceipt(event_id=event.event_id, effect=f"told {len(people)}")

    def _in_words(self, ctx: CallContext, message: Notification) -> Notification:
        with translation.override(ctx.locale):
            title, body = in_words(message.kind, self._parameters[message.id])
        return msgspec.structs.replace(message, title=title, body=body)

    def _recipients(self, ctx: CallContext, kind: NotificationKind, fact: Any) -> list_[UUID]:
        if kind is NotificationKind.SIGNATURE_REFUSED:
            return [fact.signer_id]
        people = getattr(fact, "participants", None)
        if people is None:
            people = call(CONTRACTS).participants(ctx=ctx.as_actor(SYSTEM), contract_id=fact.contract_id)
        initiator = getattr(fact, "uploaded_by", getattr(fact, "signer_id", None))
        return [person.user_id for person in people if person.user_id != initiator]


def parameters_of(fact: Any) -> dict[str, str]:
    """The parameters of a message's text."""
    fields = {name: str(getattr(fact, name)) for name in fact.__struct_fields__}
    return {"filename": fields.get("original_filename", ""), **fields}
