"""Public paths of workflow, below `/api/v1/`."""

from django.urls import path

from apps.workflow.rest import views

urlpatterns = [
    path("workflows", views.Workflows.as_view()),
    path("workflows/start", views.Start.as_view()),
    path("workflows/<uuid:workflow_id>", views.WorkflowDetail.as_view()),
    path("workflows/<uuid:workflow_id>/stages/<uuid:stage_id>/update", views.StageUpdate.as_view()),
]
