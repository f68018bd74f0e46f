"""The admin of Waffle's flags, which every process reads from a snapshot."""

from __future__ import annotations

from typing import Any

import pghistory
from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.db.models import Field
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from waffle import get_waffle_flag_model
from waffle.models import Sample, Switch

from apps.core.flags import history
from apps.core.flags.models import Flag
from apps.core.rest.admin import OwnFilters


def _unregister(*models: Any) -> None:
    for model in models:
        try:
            admin.site.unregister(model)
        except NotRegistered:
            continue


# Waffle registers its own pages; its switches and samples have no tables here, and its flag page uses columns that ours
# lacks.
_unregister(get_waffle_flag_model(), Switch, Sample)


@admin.register(Flag)
class FlagAdmin(OwnFilters):
    """A change takes effect in every process within a second, and is recorded with its author."""

    list_display = ("name", "everyone", "percent", "modified", "note")
    search_fields = ("name", "note")
    fields = ("name", "everyone", "percent", "actors", "note", "created", "modified", "changes")
    readonly_fields = ("created", "modified", "changes")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The name of a flag is fixed, because the hash of a person's side includes it."""
        return ("name", *self.readonly_fields) if obj else self.readonly_fields

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Short boxes for short texts."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name in {"actors", "note"} and field is not None:
            field.widget.attrs["rows"] = 3
        return field

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Record the author."""
        with _recorded_as(request):
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        return answer

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Record the author, for actions on several flags."""
        with _recorded_as(request):
            answer: HttpResponse = super().changelist_view(request, *args, **kwargs)
        return answer

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Record the author."""
        with _recorded_as(request):
            answer: HttpResponse = super().delete_view(request, *args, **kwargs)
        return answer

    @admin.display(description=_("History"))
    def changes(self, obj: Flag) -> SafeString:
        """The latest changes: time, author, old and new values, reason."""
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (
                (
                    localize(timezone.localtime(change.at)),
                    change.who or gettext("unknown: by SQL"),
                    change.words or change.kind,
                    " ".join(filter(None, (change.where, change.reason))),
                )
                for change in history.of_flag(obj.name)
            ),
        )
        heads = (gettext("When"), gettext("Who"), gettext("What"), gettext("Where and why"))
        return format_html(
            '<table class="w-full"><tr>{}</tr>{}</table>',
            format_html_join("", '<th class="text-left">{}</th>', ((head,) for head in heads)),
            rows,
        )


def _recorded_as(request: HttpRequest) -> pghistory.context:
    return pghistory.context(who=str(request.user), where=request.path)
