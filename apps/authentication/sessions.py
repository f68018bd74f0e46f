"""Django's sessions in the database, through a move of their table: a save that was refused is made where the table is now."""

from __future__ import annotations

from django.contrib.sessions.backends import db
from django.db import DatabaseError

from apps.core.database import primaries
from apps.core.seam.server.retries import sqlstate

PATIENCE_SECONDS = 5


class SessionStore(db.SessionStore):
    """Reads are single statements and follow by themselves; a save is a transaction."""

    def save(self, must_create: bool = False) -> None:
        """Save, once more where the table has moved. Raises: what Django's raises."""
        primary = primaries.of("authentication")
        try:
            super().save(must_create)
        except DatabaseError as error:
            if sqlstate(error) not in primaries.REFUSALS or not primaries.look_again(
                "authentication", primary, patience_seconds=PATIENCE_SECONDS
            ):
                raise
            super().save(must_create)
