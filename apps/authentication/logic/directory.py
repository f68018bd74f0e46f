"""Looking many people up at once, by plain SQL: every contract that is drawn up asks this."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connections

COLUMNS = "id, full_name, roles"


def active(alias: str, user_ids: tuple[UUID, ...]) -> list[tuple[Any, ...]]:
    """Rows of `COLUMNS` of the active people among these."""
    with connections[alias].cursor() as db:
        db.execute(f"SELECT {COLUMNS} FROM authentication_user WHERE id = ANY(%s) AND is_active", [list(user_ids)])
        found: list[tuple[Any, ...]] = db.fetchall()
        return found
