"""Public paths of datasync, below `/api/v1/`."""

from django.urls import path

from apps.datasync.rest import views

urlpatterns = [
    path("sync", views.Syncs.as_view()),
    path("sync/start", views.Start.as_view()),
    path("sync/verify", views.Verify.as_view()),
    path("sync/verify/<slug:target_service>", views.VerificationDetail.as_view()),
    path("sync/verify/<slug:target_service>/differences", views.Differences.as_view()),
    path("sync/verify/<slug:target_service>/stop", views.StopVerification.as_view()),
    path("sync/<uuid:sync_id>", views.SyncDetail.as_view()),
    path("sync/<uuid:sync_id>/pause", views.Pause.as_view()),
    path("sync/<uuid:sync_id>/resume", views.Resume.as_view()),
    path("sync/<uuid:sync_id>/cancel", views.Cancel.as_view()),
]
