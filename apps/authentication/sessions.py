"""Django's sessions in the database, across a relocation: a save that was refused is repeated in the new primary."""

from __future__ import annotations

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import UpdateError
from django.db import DatabaseError

from apps.core.database import primaries
from apps.core.seam.server.retries import sqlstate

PATIENCE_SECONDS = 5


class SessionStore(db.SessionStore):
    """Retries saves. Reads are single statements, which follow the primary by themselves; a save is a transaction."""

    def save(self, must_create: bool = False) -> None:
        """Save, and once more when the primary has changed. Raises: what Django's store raises."""
        primary = primaries.of("authentication")
        try:
            super().save(must_create)
        except (DatabaseError, UpdateError) as error:
            # When an update fails, Django reports a deleted session; the database's own error is the context.
            said = error.__context__ if isinstance(error, UpdateError) else error
            if said is None or sqlstate(said) not in primaries.REFUSALS:
                raise
            if not primaries.refresh("authentication", primary, patience_seconds=PATIENCE_SECONDS):
                raise
            super().save(must_create)
