"""The contract's serializer."""

from __future__ import annotations

from rest_framework import serializers

from benchmarks.tutorial.models import Contract


class ContractSerializer(serializers.ModelSerializer[Contract]):
    """Every column."""

    class Meta:
        model = Contract
        fields = "__all__"
