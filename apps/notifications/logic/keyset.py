"""Page cursors of messages: the id of the last one seen, which is time-ordered (UUIDv7)."""

from __future__ import annotations

from uuid import UUID

from apps.notifications.interface import BadNotificationCursor


def decode(cursor: str) -> UUID:
    """The message after which to go on. Raises: BadNotificationCursor."""
    try:
        return UUID(cursor)
    except ValueError:
        raise BadNotificationCursor from None
