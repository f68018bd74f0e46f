"""Paths of the peer."""

from django.urls import include, path
from rest_framework.routers import DefaultRouter

from benchmarks.tutorial.views import ContractViewSet, ServiceContract

router = DefaultRouter()
router.register("contracts", ContractViewSet)
urlpatterns = [
    path("", include(router.urls)),
    path("service/contracts/<uuid:contract_id>/", ServiceContract.as_view()),
]
