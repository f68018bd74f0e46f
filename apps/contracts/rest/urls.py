"""Public paths of contracts, below `/api/v1/`."""

from django.urls import path

from apps.contracts.rest import views

urlpatterns = [
    path("land-plots", views.LandPlots.as_view()),
    path("land-plots/<uuid:land_plot_id>", views.LandPlotDetail.as_view()),
    path("contracts", views.Contracts.as_view()),
    path("contracts/<uuid:contract_id>", views.ContractDetail.as_view()),
    path("contracts/<uuid:contract_id>/status", views.ContractStatusView.as_view()),
    path("contracts/<uuid:contract_id>/history", views.ContractHistory.as_view()),
]
