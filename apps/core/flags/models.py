"""Core's own tables: the feature flags. The abstract command and outbox tables are in `seam/server/tables.py`."""

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from waffle.models import AbstractBaseFlag

from apps.core.flags import snapshot


class Flag(AbstractBaseFlag):
    """A feature flag. Superusers, staff and languages are not special: each would skew a canary.

    A trigger of the database records every change, with any author and by any means, together with the old values.
    """

    percent = models.DecimalField(
        _("Percent"),
        max_digits=5,
        decimal_places=2,
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text=_("The share of people for whom it is on, 0 to 100; each person keeps their side."),
    )
    actors = ArrayField(
        models.UUIDField(), verbose_name=_("People"), default=list, blank=True, help_text=_("Ids, comma-separated.")
    )
    superusers = None  # type: ignore[assignment]  # how Django leaves an inherited column out
    staff = None  # type: ignore[assignment]  # how Django leaves an inherited column out
    authenticated = None  # type: ignore[assignment]  # how Django leaves an inherited column out
    languages = None  # type: ignore[assignment]  # how Django leaves an inherited column out
    rollout = None  # type: ignore[assignment]  # how Django leaves an inherited column out
    testing = None  # type: ignore[assignment]  # how Django leaves an inherited column out

    class Meta(AbstractBaseFlag.Meta):
        abstract = False

    def __str__(self) -> str:
        return str(self.name)

    def is_active_for_user(self, user: object) -> bool | None:
        """Waffle's check of a user, by this platform's rules and from the process's snapshot."""
        return snapshot.is_on(self.name, str(getattr(user, "pk", "")))

    def is_active(self, request: object, read_only: bool = False) -> bool | None:
        """Waffle's check of a request, without cookies."""
        return self.is_active_for_user(getattr(request, "user", None))


class FlagChange(
    pghistory.create_event_model(  # type: ignore[misc]  # a base class made at run time
        Flag,
        pghistory.InsertEvent(),
        pghistory.UpdateEvent(),
        pghistory.DeleteEvent(),
        fields=["name", "everyone", "percent", "actors", "note"],
        obj_field=pghistory.ObjForeignKey(related_name="+", related_query_name="+"),
    )
):
    """A flag after one change, written by a trigger; `pgh_context` names the author, where one was recorded."""

    class Meta:
        verbose_name = _("change of a flag")
        verbose_name_plural = _("changes of flags")

    def __str__(self) -> str:
        return f"{self.name} {self.pgh_label}"
