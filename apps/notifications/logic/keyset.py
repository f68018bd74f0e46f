"""Page cursors of messages: the id of a page's last message, which is time-ordered (UUIDv7)."""

from __future__ import annotations

from uuid import UUID

from apps.notifications.interface import BadNotificationCursor


def decode(cursor: str) -> UUID:
    """The id of the message after which the next page begins. Raises: BadNotificationCursor."""
    try:
        return UUID(cursor)
    except ValueError:
        raise BadNotificationCursor from None
