"""Every path of the whole process."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerSplitView

from apps.core.health import views
from apps.core.rest.schema_view import SchemaView
from landcontracts.topology import SERVICES

admin.autodiscover()

API = "api/v1/"

urlpatterns = [
    *(path(API, include(f"apps.{service}.rest.urls")) for service in SERVICES),
    path("api/v1/schema", SchemaView.as_view(), name="schema"),
    path("api/v1/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("api/v1", views.root),
    path(".well-known/jwks.json", views.key_set),
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("metrics", views.metrics),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api-auth/", include("rest_framework.urls")),
    path("", include("apps.portal.urls")),
]
handler404 = "apps.core.health.views.not_found"
handler500 = "apps.core.health.views.server_error"
