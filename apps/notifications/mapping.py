"""Messages as DTOs, here only; fields are listed one by one."""

from apps.notifications import interface, models
from apps.notifications.logic.texts import in_words


def notification(row: models.Notification) -> interface.Notification:
    """A message in the active language."""
    kind = interface.NotificationKind(row.kind)
    title, body = in_words(kind, row.parameters)
    return interface.Notification(
        id=row.id,
        recipient_id=row.recipient_id,
        kind=kind,
        contract_id=row.contract_id,
        title=title,
        body=body,
        created_at=row.created_at,
        read_at=row.read_at,
    )
