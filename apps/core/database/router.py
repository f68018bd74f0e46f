"""Routes each model to the primary of the service that owns it, else to the shared database."""

from __future__ import annotations

from typing import Any

from django.db import models

from apps.core import topology
from apps.core.database import primaries


class PrimaryRouter:
    """Django's database router (setting DATABASE_ROUTERS)."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        """The primary, fixed for the length of a command or query."""
        service = topology.owners().get(model._meta.app_label)
        return None if service is None else primaries.database_of(service)

    db_for_write = db_for_read

    def allow_relation(self, obj1: models.Model, obj2: models.Model, **hints: Any) -> bool:
        """Within one service, and among models that belong to none. Flags' history refers to people by id alone."""
        owners = topology.owners()
        return owners.get(obj1._meta.app_label) == owners.get(obj2._meta.app_label)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        """In a service's own database only its tables; in the shared one all tables that were not relocated."""
        service = topology.owners().get(app_label)
        if db != primaries.SHARED:
            return service == db
        return (
            service is None or not primaries.is_movable(service) or primaries.database_of(service) == primaries.SHARED
        )
