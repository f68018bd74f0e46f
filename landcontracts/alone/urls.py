"""Every path of a process that runs one service: its public REST, its document, health and metrics."""

from django.conf import settings
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from apps.core.rest import health

API = "api/v1/"

urlpatterns = [
    path(API, include(f"apps.{settings.SERVICE}.rest.urls")),
    path("api/v1/schema", SpectacularAPIView.as_view(), name="schema"),
    path(".well-known/jwks.json", health.key_set),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
]
handler404 = "apps.core.rest.health.not_found"
handler500 = "apps.core.rest.health.server_error"
