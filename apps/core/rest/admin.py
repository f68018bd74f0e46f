"""The base of every app's admin: records are shown here; data that rules guard are changed through the interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import structlog
from django.contrib import messages
from django.contrib.admin import EmptyFieldListFilter
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, ValidationError
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from unfold.admin import ModelAdmin, TabularInline

from apps.core.interface.errors import DomainError, RemoteCallFailed, ServiceBusy
from apps.core.rest.problems import in_words

# Those of which filters make addresses.
LOOKUPS = ("exact", "isnull", "isempty", "in", "gte", "lt")
log = structlog.get_logger(__name__)


class OwnFilters(ModelAdmin):
    """A list is filtered by the filters that it shows, and acts on ids that are ids. Django takes any to the database."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Whether the address may have this filter; others are answered 400."""
        named = (item[0] if isinstance(item, tuple | list) else item for item in self.list_filter)
        names = [item if isinstance(item, str) else getattr(item, "parameter_name", "") for item in named]
        known = {*names, *(f"{name}__{how}" for name in names for how in LOOKUPS)}
        return lookup in known and super().lookup_allowed(lookup, value, request)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Act on the chosen records. Raises: BadRequest for an id that is none."""
        try:
            for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.to_python(chosen)
        except ValidationError as error:
            raise BadRequest("; ".join(error.messages)) from None
        return super().response_action(request, queryset)


class ReadOnly(OwnFilters):
    """Shows records and changes none: a change here would bypass rules, events and command keys."""

    list_per_page = 50
    show_full_result_count = False  # count(*) over a large table takes a second

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def change_each(self, request: HttpRequest, rows: Iterable[Any], change: Callable[[Any], object]) -> None:
        """Call a service for each record, and say how many were changed, and why one was not."""
        changed = 0
        for row in rows:
            try:
                change(row)
            except DomainError as error:
                self.message_user(request, f"{row}: {in_words(error)}", messages.ERROR)
            except RemoteCallFailed as error:
                log.warning("action_without_answer", exc_info=error)
                self.message_user(request, f"{row}: {in_words(ServiceBusy())}", messages.ERROR)
            else:
                changed += 1
        if changed:
            self.message_user(request, _("Changed: %(count)d") % {"count": changed}, messages.SUCCESS)


class ReadOnlyInline(TabularInline):
    """Shows the records that belong to the one shown."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class CommandAdmin(ReadOnly):
    """Executed commands of an app. The stored answer is not shown, because it belongs to the caller."""

    list_display = ("created_at", "method", "actor_id", "key")
    list_filter = ("method",)
    search_fields = ("key",)
    fields = ("method", "actor_id", "key", "created_at")
    ordering = ("-created_at",)


class OutboxAdmin(ReadOnly):
    """Events of an app and the state of their delivery."""

    list_display = ("occurred_at", "type", "consumer", "sequence", "delivered_at", "attempts", "last_error")
    list_filter = ("consumer", "type", ("delivered_at", EmptyFieldListFilter))
    search_fields = ("aggregate_id", "trace", "request_id")
    fields = (
        *("type", "consumer", "aggregate_id", "sequence", "actor_id", "request_id", "trace"),
        *("occurred_at", "delivered_at", "leased_until", "attempts", "last_error"),
    )
    ordering = ("-occurred_at",)
