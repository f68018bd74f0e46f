"""Public paths of documents, below `/api/v1/`."""

from django.urls import path

from apps.documents.rest import views

urlpatterns = [
    path("documents", views.Documents.as_view()),
    path("documents/upload", views.Upload.as_view()),
    path("documents/uploads", views.Uploads.as_view()),
    path("documents/<uuid:document_id>", views.DocumentDetail.as_view()),
    path("documents/<uuid:document_id>/complete", views.Complete.as_view()),
    path("documents/<uuid:document_id>/download", views.Download.as_view()),
]
