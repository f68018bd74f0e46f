"""The history of flags in words, from the database's own record of every change: who, when, from what to what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext, ngettext

from apps.core.flags.models import Flag, FlagChange

FIELDS = ("everyone", "percent", "actors", "note", "name")
_NAMES = {field.name: field.verbose_name for field in Flag._meta.fields}


class Change(NamedTuple):
    """One change. `fields` are (name, from, to). `who` is empty where no author was recorded: a change by SQL."""

    flag: str
    at: datetime
    kind: str
    who: str
    where: str
    reason: str
    fields: tuple[tuple[str, str, str], ...]

    @property
    def words(self) -> str:
        """The changed fields, in one line."""
        return "; ".join(f"{name}: {before} → {after}" for name, before, after in self.fields)


def of_flag(name: str, limit: int = 50) -> list[Change]:
    """The changes of one flag, newest first."""
    events = FlagChange.objects.select_related("pgh_context").filter(name=name).order_by("pgh_id")
    changes = list(_changes(list(events)))
    return changes[::-1][:limit]


def _changes(events: list[Any]) -> Iterator[Change]:
    before: Any = None
    for event in events:
        metadata: dict[str, Any] = event.pgh_context.metadata if event.pgh_context else {}
        yield Change(
            flag=event.name,
            at=event.pgh_created_at,
            kind=event.pgh_label,
            who=str(metadata.get("who", "")),
            where=str(metadata.get("where", "")),
            reason=str(metadata.get("reason", "")),
            fields=tuple(_differences(before, event)),
        )
        before = event if event.pgh_label != "delete" else None


def _differences(before: Any, after: Any) -> Iterator[tuple[str, str, str]]:
    if after.pgh_label == "delete":
        return
    for field in FIELDS:
        old, new = (None if before is None else getattr(before, field)), getattr(after, field)
        if old != new and not (before is None and not new):
            yield str(_NAMES[field]), _word(old), _word(new)


def _word(value: Any) -> str:
    match value:
        case None:
            return "—"
        case bool():
            return gettext("on") if value else gettext("off")
        case list():
            return ngettext("%(count)d person", "%(count)d people", len(value)) % {"count": len(value)}
    return f"{value.normalize():f} %" if hasattr(value, "normalize") else str(value)
