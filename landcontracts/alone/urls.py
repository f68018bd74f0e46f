"""Every path of a process that runs one service: its public REST, its document, health and metrics."""

from django.conf import settings
from django.urls import include, path

from apps.core.health import views
from apps.core.rest.schema_view import SchemaView

API = "api/v1/"

urlpatterns = [
    path(API, include(f"apps.{settings.SERVICE}.rest.urls")),
    path("api/v1/schema", SchemaView.as_view(), name="schema"),
    path(".well-known/jwks.json", views.key_set),
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("metrics", views.metrics),
]
handler404 = "apps.core.health.views.not_found"
handler500 = "apps.core.health.views.server_error"
