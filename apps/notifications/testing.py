"""A fake of notifications for other apps' tests: messages in memory; only a new contract tells anyone anything."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from django.utils import translation

from apps.contracts.interface import ContractCreated
from apps.core.ids import new_id
from apps.core.seam.context import CallContext
from apps.core.seam.errors import Forbidden
from apps.core.seam.events import EventEnvelope, EventReceipt
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


class FakeNotifications:
    """Implements `NotificationsService` in memory."""

    def __init__(self) -> None:
        self._messages: list[Notification] = []

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
        found = unread if unread_only else own
        if cursor is not None:
            last = keyset.decode(cursor)
            found = [item for item in found if item.id < last]
        more = str(found[limit - 1].id) if len(found) > limit else None
        return NotificationPage(items=tuple(found[:limit]), unread=len(unread), next_cursor=more)

    def unread_count(self, *, ctx: CallContext) -> int:
        return self.list(ctx=ctx).unread

    def mark_read(self, *, ctx: CallContext, notification_id: UUID) -> Notification:
        for index, item in enumerate(self._messages):
            if (item.id, item.recipient_id) == (notification_id, ctx.actor.id):
                read = msgspec.structs.replace(item, read_at=item.read_at or datetime.now(UTC))
                self._messages[index] = read
                return read
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
        told = 0
        if event.type == ContractCreated.TYPE:
            created = msgspec.json.decode(event.payload, type=ContractCreated)
            with translation.override(ctx.locale):
                title, body = in_words(NotificationKind.CONTRACT_CREATED, {"number": created.number})
            for person in created.participants:
                message = Notification(
                    id=new_id(),
                    recipient_id=person.user_id,
                    kind=NotificationKind.CONTRACT_CREATED,
                    contract_id=created.contract_id,
                    title=title,
                    body=body,
                    created_at=datetime.now(UTC),
                    read_at=None,
                )
                self._messages.append(message)
                told += 1
        return EventReceipt(event_id=event.event_id, effect=f"told {told}")
