"""Waffle's flags, edited here and answered from a snapshot in every process."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from waffle import get_waffle_flag_model
from waffle.models import Sample, Switch

from apps.core.models import Flag


def _forget(*models: Any) -> None:
    for model in models:
        try:
            admin.site.unregister(model)
        except NotRegistered:
            continue


# Waffle registers its own pages; its switches and samples have no tables here, and its flag page asks for columns that ours has not.
_forget(get_waffle_flag_model(), Switch, Sample)


@admin.register(Flag)
class FlagAdmin(ModelAdmin):
    """Effective in every process within half a second."""

    list_display = ("name", "everyone", "percent", "modified", "note")
    search_fields = ("name", "note")
    fields = ("name", "everyone", "percent", "actors", "note", "created", "modified")
    readonly_fields = ("created", "modified")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A flag keeps its name: people's sides are hashed with it."""
        return ("name", *self.readonly_fields) if obj else self.readonly_fields
