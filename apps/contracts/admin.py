"""Plots and contracts in the admin, read only; changes go through the interface."""

from __future__ import annotations

from django.contrib import admin

from apps.contracts.models import Command, Contract, LandPlot, Outbox, Party, SeenSignature, StatusChange
from apps.core.rest.admin import CommandAdmin, OutboxAdmin, ReadOnly, ReadOnlyInline


@admin.register(LandPlot)
class LandPlotAdmin(ReadOnly):
    """Plots."""

    list_display = ("cadastral_number", "address", "area_m2", "category", "created_at")
    list_filter = ("category", "number_collides")
    search_fields = ("cadastral_number", "address")
    ordering = ("-created_at",)


class Parties(ReadOnlyInline):
    """The parties of a contract."""

    model = Party
    fields = ("role", "user_id")


class History(ReadOnlyInline):
    """The status history of a contract."""

    model = StatusChange
    fields = ("status", "at", "by", "comment")


class Signatures(ReadOnlyInline):
    """Accepted signatures."""

    model = SeenSignature
    fields = ("document_id", "signer_id")


@admin.register(Contract)
class ContractAdmin(ReadOnly):
    """Contracts."""

    list_display = ("number", "status", "cadastral_number", "price", "currency", "created_at")
    list_filter = ("status", "currency", "number_collides")
    search_fields = ("number", "cadastral_number")
    inlines = (Parties, History, Signatures)
    ordering = ("-created_at",)


admin.site.register(Command, CommandAdmin)
admin.site.register(Outbox, OutboxAdmin)
