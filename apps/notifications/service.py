"""Notifications in this process: scope, transaction, logic, DTO."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone, translation

from apps.authentication.interface import AUTHENTICATION
from apps.core.database.primaries import database_of
from apps.core.interface.context import CallContext
from apps.core.interface.errors import Forbidden
from apps.core.interface.events import ReceivesEvents
from apps.core.seam.client.registry import call
from apps.core.seam.server.commands import command
from apps.notifications import handlers, mapping
from apps.notifications.gateways import mail as mail_gateway
from apps.notifications.interface import (
    CursorText,
    MailReport,
    Notification,
    NotificationNotFound,
    NotificationPage,
    PageSize,
)
from apps.notifications.logic import keyset
from apps.notifications.logic import mail as mail_logic
from apps.notifications.models import Notification as NotificationRow


class Notifications(ReceivesEvents):
    """Implements `NotificationsService`."""

    handlers = handlers.HANDLERS

    def list(
        self,
        *,
        ctx: CallContext,
        unread_only: bool = False,
        limit: PageSize = 50,
        cursor: CursorText | None = None,
    ) -> NotificationPage:
        own = _own(ctx)
        unread = own.filter(read_at=None)
        messages = (unread if unread_only else own).order_by("-created_at", "-id")
        if cursor is not None:
            last = own.filter(id=keyset.decode(cursor)).first()
            if last is not None:
                messages = messages.filter(created_at__lte=last.created_at).exclude(
                    created_at=last.created_at, id__gte=last.id
                )
        rows = [*messages[: limit + 1]]
        with translation.override(ctx.locale):
            items = tuple(mapping.notification(row) for row in rows[:limit])
        next_cursor = str(items[-1].id) if len(rows) > limit else None
        return NotificationPage(items=items, unread=unread.count(), next_cursor=next_cursor)

    def unread_count(self, *, ctx: CallContext) -> int:
        return _own(ctx).filter(read_at=None).count()

    def mark_read(self, *, ctx: CallContext, notification_id: UUID) -> Notification:
        with command(ctx) as work:
            row = _own(ctx).select_for_update().filter(id=notification_id).first()
            if row is None:
                raise NotificationNotFound
            if row.read_at is None:
                row.read_at = timezone.now()
                row.save(update_fields=["read_at"])
            with translation.override(ctx.locale):
                return work.finish(mapping.notification(row))

    def mark_all_read(self, *, ctx: CallContext) -> int:
        with command(ctx) as work:
            return work.finish(_own(ctx).filter(read_at=None).update(read_at=timezone.now()))

    def send_mail(self, *, ctx: CallContext) -> MailReport:
        if not ctx.actor.has("system"):
            raise Forbidden
        waiting = mail_logic.take(database_of("notifications"))
        ids = tuple({mail.notification.recipient_id for mail in waiting})
        people = {person.id: person for person in call(AUTHENTICATION).recipients(ctx=ctx, user_ids=ids)} if ids else {}
        outcomes = []
        for mail in waiting:
            person = people.get(mail.notification.recipient_id)
            error: str | None = "the recipient has no active account"
            if person is not None:
                subject, body = mail_logic.subject_and_body(mail, person)
                error = _send(mail.id, person.email, subject, body)
            outcomes.append((mail, error))
        with command(ctx) as work:
            for mail, error in outcomes:
                mail_logic.record(mail, error)
            failed = sum(error is not None for _, error in outcomes)
            return work.finish(MailReport(sent=len(outcomes) - failed, failed=failed))


def _send(mail_id: UUID, to: str, subject: str, body: str) -> str | None:
    try:
        mail_gateway.send(mail_id=mail_id, to=to, subject=subject, body=body)
    except Exception as error:  # noqa: BLE001 - one bad address or broken mail must not delay the others
        return repr(error)
    return None


def _own(ctx: CallContext) -> QuerySet[NotificationRow]:
    return NotificationRow.objects.filter(recipient_id=ctx.actor.person)
