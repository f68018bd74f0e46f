"""Notifications over REST."""

from __future__ import annotations

from uuid import UUID

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto
from apps.core.rest.endpoint import View, endpoint, fields_of
from apps.core.seam.client.registry import call
from apps.notifications.interface import NOTIFICATIONS, CursorText, Notification, NotificationPage, PageSize


class PageQuery(Dto):
    """The messages and the page to list. `cursor` is the `next_cursor` of the page before."""

    unread_only: bool = False
    limit: PageSize = 50
    cursor: CursorText | None = None


class Marked(Dto):
    """How many messages were marked."""

    marked: int


class Notifications(View):
    """notifications."""

    @endpoint()
    def get(self, ctx: CallContext, query: PageQuery) -> NotificationPage:
        """The caller's messages, newest first."""
        return call(NOTIFICATIONS).list(ctx=ctx, **fields_of(query))


class Read(View):
    """POST notifications/{id}/read."""

    @endpoint()
    def post(self, ctx: CallContext, notification_id: UUID) -> Notification:
        """Mark a message as read."""
        return call(NOTIFICATIONS).mark_read(ctx=ctx, notification_id=notification_id)


class ReadAll(View):
    """POST notifications/read."""

    @endpoint()
    def post(self, ctx: CallContext) -> Marked:
        """Mark all the caller's messages as read."""
        return Marked(marked=call(NOTIFICATIONS).mark_all_read(ctx=ctx))
