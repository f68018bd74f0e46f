"""Messages to people, in the application and by e-mail. The public file of `notifications`.

Here: errors, DTOs and the Protocol. Not here: the facts, which arrive as other apps' events.
"""

from __future__ import annotations

from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from apps.core.interface.context import CallContext
from apps.core.interface.dto import Dto, Instant
from apps.core.interface.errors import Category, DomainError, gettext_noop
from apps.core.interface.events import EventConsumer
from apps.core.interface.labels import LabelledEnum
from apps.core.interface.operations import ServiceKey, command, query

PageSize = Annotated[int, Meta(ge=1, le=200)]
CursorText = Annotated[str, Meta(max_length=200)]


class NotificationKind(LabelledEnum):
    """The subject of a message, which also determines its recipients.

    Everyone in the contract is notified of its creation, its status and its stages, including the person who caused the
    change. Everyone but the uploader is notified of a document, everyone but the signer of an accepted signature, and
    the signer alone of a refused one.
    """

    CONTRACT_CREATED = "contract_created", gettext_noop("contract created")
    STATUS_CHANGED = "status_changed", gettext_noop("status changed")
    DOCUMENT_STORED = "document_stored", gettext_noop("document stored")
    SIGNATURE_ACCEPTED = "signature_accepted", gettext_noop("signature accepted")
    SIGNATURE_REFUSED = "signature_refused", gettext_noop("signature refused")
    STAGE_STARTED = "stage_started", gettext_noop("stage started")
    STAGE_OVERDUE = "stage_overdue", gettext_noop("stage overdue")


class Notification(Dto):
    """One message to one person, with title and body in the language of the call.

    The title names the contract's number when the contract is created or changes its status.
    """

    id: UUID
    recipient_id: UUID
    kind: NotificationKind
    contract_id: UUID
    title: str
    body: str
    created_at: Instant
    read_at: Instant | None


class NotificationPage(Dto):
    """A page of messages, newest first. `next_cursor` is None on the last page."""

    items: tuple[Notification, ...]
    unread: int
    next_cursor: str | None


class MailReport(Dto):
    """How many e-mails one round has sent, and how many have failed."""

    sent: int
    failed: int


class NotificationNotFound(DomainError, code="notification_not_found", category=Category.NOT_FOUND):
    """No such message, or another person's."""

    message = gettext_noop("There is no such notification.")


class BadNotificationCursor(DomainError, code="bad_notification_cursor", category=Category.INVALID):
    """The cursor is not one of this list."""

    message = gettext_noop("The page cursor is not valid.")


class NotificationsService(EventConsumer, Protocol):
    """Messages to people."""

    @query(may_lag=True)
    def list(
        self,
        *,
        ctx: CallContext,
        unread_only: bool = False,
        limit: PageSize = 50,
        cursor: CursorText | None = None,
    ) -> NotificationPage:
        """The actor's messages, newest first, by keyset. Raises: BadNotificationCursor."""

    @query(may_lag=True)
    def unread_count(self, *, ctx: CallContext) -> int:
        """How many of the actor's messages are unread."""

    @command
    def mark_read(self, *, ctx: CallContext, notification_id: UUID) -> Notification:
        """Mark one of the actor's messages as read. Raises: NotificationNotFound."""

    @command
    def mark_all_read(self, *, ctx: CallContext) -> int:
        """Mark all of the actor's messages as read; returns how many were unread."""

    @command(timeout_ms=30_000)
    def send_mail(self, *, ctx: CallContext) -> MailReport:
        """Send waiting e-mails, each at least once with a stable Message-ID; system work only. Raises: Forbidden."""


NOTIFICATIONS: ServiceKey[NotificationsService] = ServiceKey("notifications", NotificationsService)
