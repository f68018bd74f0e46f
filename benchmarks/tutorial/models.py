"""The platform's tables as models of a tutorial; unmanaged, because the platform's migrations create them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models

STATUSES = ("draft", "awaiting_signatures", "signed", "in_registration", "completed", "cancelled")


class Person(AbstractBaseUser, PermissionsMixin):
    """The user that simplejwt reads for each request."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    full_name = models.CharField(max_length=300)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)

    objects = BaseUserManager["Person"]()
    USERNAME_FIELD = "email"

    class Meta:
        managed = False
        db_table = "authentication_user"

    def __str__(self) -> str:
        return str(self.email)


class LandPlot(models.Model):
    """A plot."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    cadastral_number = models.CharField(max_length=40)
    address = models.CharField(max_length=300)
    owner_id = models.UUIDField()

    class Meta:
        managed = False
        db_table = "contracts_landplot"

    def __str__(self) -> str:
        return str(self.cadastral_number)


class Contract(models.Model):
    """A contract. The index on the list's order exists, as for the platform."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.CharField(max_length=30, unique=True)
    status = models.CharField(max_length=24, choices=[(status, status) for status in STATUSES], default="draft")
    seller_id = models.UUIDField()
    buyer_id = models.UUIDField()
    agent_id = models.UUIDField(null=True, blank=True)
    lawyer_id = models.UUIDField(null=True, blank=True)
    land_plot = models.ForeignKey(LandPlot, on_delete=models.PROTECT)
    cadastral_number = models.CharField(max_length=40)
    price = models.DecimalField(max_digits=17, decimal_places=2)
    currency = models.CharField(max_length=3, default="RUB")
    terms = models.TextField(blank=True)
    sale_document_id = models.UUIDField(null=True, blank=True)
    sale_document_at = models.DateTimeField(null=True, blank=True)
    signed_by_seller = models.BooleanField(default=False)
    signed_by_buyer = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[models.Manager[Contract]] = models.Manager()

    class Meta:
        managed = False
        db_table = "contracts_contract"

    def __str__(self) -> str:
        return str(self.number)
