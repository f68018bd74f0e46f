"""The public view set, and the view that another service of a textbook system would call."""

from __future__ import annotations

from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.tutorial.models import Contract
from benchmarks.tutorial.serializers import ContractSerializer


class ContractViewSet(viewsets.ModelViewSet[Contract]):
    """contracts/."""

    queryset = Contract.objects.order_by("-created_at", "-id")
    serializer_class = ContractSerializer


class ServiceContract(APIView):
    """service/contracts/{id}/: the caller forwards the person's token."""

    def get(self, _request: Request, contract_id: UUID) -> Response:
        """One contract."""
        return Response(ContractSerializer(get_object_or_404(Contract, pk=contract_id)).data)
