"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DocumentsConfig(AppConfig):
    """Documents of contracts."""

    name = "apps.documents"
    verbose_name = _("Documents")

    def ready(self) -> None:
        """Register the readiness probe of the bucket."""
        from apps.core.health import registry

        registry.register("storage", "apps.documents.gateways.probe.storage")
