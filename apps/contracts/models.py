"""Plots, contracts, their parties, history and accepted signatures, and this app's own commands and outbox."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.contracts.interface import ContractStatus, LandCategory, PartyRole
from apps.core.choices import named
from apps.core.ids import new_id
from apps.core.seam.server.tables import CommandRecord, OutboxRecord

# Past the draft and not over: at most one such contract for a plot, or it would be sold twice.
UNDER_WAY = (ContractStatus.SIGNED, ContractStatus.IN_REGISTRATION)


class LandPlot(models.Model):
    """A plot recorded by its owner."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    cadastral_number = models.CharField(_("cadastral number"), max_length=40, db_index=True)
    address = models.CharField(_("address"), max_length=300)
    area_m2 = models.DecimalField(_("area, m²"), max_digits=12, decimal_places=2)
    category = models.CharField(_("category"), max_length=20, choices=named(LandCategory))
    # Set by a migration where the owner had recorded one plot in several spellings of its number.
    number_collides = models.BooleanField(_("number in several spellings"), default=False, db_default=False)
    owner_id = models.UUIDField(_("owner"))
    created_at = models.DateTimeField(_("recorded"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("land plot")
        verbose_name_plural = _("land plots")
        constraints = (
            models.UniqueConstraint(fields=("owner_id", "cadastral_number"), name="contracts_plot_of_owner"),
            models.CheckConstraint(condition=Q(area_m2__gt=0), name="contracts_plot_area_positive"),
        )
        indexes = (
            models.Index(fields=("owner_id", "-created_at", "-id"), name="contracts_plot_page"),
            models.Index(fields=("-created_at", "-id"), name="contracts_plot_all"),
        )

    def __str__(self) -> str:
        return str(self.cadastral_number)


class Contract(models.Model):
    """A contract of sale."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    number = models.CharField(_("number"), max_length=30, unique=True)
    status = models.CharField(_("status"), max_length=24, choices=named(ContractStatus))
    seller_id = models.UUIDField(_("seller"))
    buyer_id = models.UUIDField(_("buyer"))
    agent_id = models.UUIDField(_("agent"), null=True)
    lawyer_id = models.UUIDField(_("lawyer"), null=True)
    land_plot = models.ForeignKey(LandPlot, on_delete=models.PROTECT, verbose_name=_("land plot"))
    cadastral_number = models.CharField(_("cadastral number"), max_length=40)
    # Set by a migration where contracts for one plot, in several spellings of its number, were under way at once.
    number_collides = models.BooleanField(_("number in several spellings"), default=False, db_default=False)
    price = models.DecimalField(_("price"), max_digits=17, decimal_places=2)
    currency = models.CharField(_("currency"), max_length=3, default="RUB")
    terms = models.TextField(_("terms"), blank=True)
    sale_document_id = models.UUIDField(_("contract of sale"), null=True)
    sale_document_at = models.DateTimeField(_("contract of sale added"), null=True)
    signed_by_seller = models.BooleanField(_("signed by the seller"), default=False)
    signed_by_buyer = models.BooleanField(_("signed by the buyer"), default=False)
    plot_taken = models.BooleanField(_("plot under another contract"), default=False, db_default=False)
    created_at = models.DateTimeField(_("created"))
    updated_at = models.DateTimeField(_("updated"))

    class Meta:
        verbose_name = _("contract")
        verbose_name_plural = _("contracts")
        constraints = (
            models.CheckConstraint(condition=Q(price__gt=0), name="contracts_price_positive"),
            models.CheckConstraint(condition=~Q(seller_id=models.F("buyer_id")), name="contracts_two_people"),
            models.UniqueConstraint(
                fields=("cadastral_number",), condition=Q(status__in=UNDER_WAY), name="contracts_plot_sold_once"
            ),
        )
        indexes = (
            models.Index(fields=("-created_at", "-id"), name="contracts_contract_page"),
            models.Index(
                fields=("cadastral_number",), condition=Q(number_collides=True), name="contracts_in_several_spellings"
            ),
        )

    def __str__(self) -> str:
        return str(self.number)


class Party(models.Model):
    """One person's part in a contract, with the contract's time, so that a person's list is one index range."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="parties")
    user_id = models.UUIDField(_("person"))
    role = models.CharField(_("role"), max_length=10, choices=named(PartyRole))
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("party")
        verbose_name_plural = _("parties")
        constraints = (
            models.UniqueConstraint(fields=("contract", "role"), name="contracts_party_role"),
            models.UniqueConstraint(fields=("contract", "user_id"), name="contracts_party_user"),
        )
        indexes = (models.Index(fields=("user_id", "-created_at", "-contract"), name="contracts_party_page"),)

    def __str__(self) -> str:
        return f"{self.role} {self.user_id}"


class StatusChange(models.Model):
    """One entry of a contract's history."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="history")
    status = models.CharField(_("status"), max_length=24)
    at = models.DateTimeField(_("at"))
    by = models.UUIDField(_("by"), null=True)
    comment = models.TextField(_("comment"), blank=True)

    class Meta:
        verbose_name = _("status change")
        verbose_name_plural = _("status changes")
        ordering = ("at", "id")

    def __str__(self) -> str:
        return str(self.status)


class SeenSignature(models.Model):
    """A signature that `signatures` accepted, stored because its event may arrive before that of its document."""

    id = models.UUIDField(primary_key=True, editable=False)
    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="signatures")
    document_id = models.UUIDField(_("document"))
    signer_id = models.UUIDField(_("signer"))

    class Meta:
        verbose_name = _("accepted signature")
        verbose_name_plural = _("accepted signatures")

    def __str__(self) -> str:
        return str(self.signer_id)


class Command(CommandRecord):
    """This app's executed commands."""


class Outbox(OutboxRecord):
    """This app's events."""
