"""Public paths of notifications, below `/api/v1/`."""

from django.urls import path

from apps.notifications.rest import views

urlpatterns = [
    path("notifications", views.Notifications.as_view()),
    path("notifications/read", views.ReadAll.as_view()),
    path("notifications/<uuid:notification_id>/read", views.Read.as_view()),
]
