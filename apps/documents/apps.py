"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DocumentsConfig(AppConfig):
    """Files of contracts."""

    name = "apps.documents"
    verbose_name = _("Documents")

    def ready(self) -> None:
        """Whether its bucket answers is a part of this process's readiness."""
        from apps.core.health import registry
        from apps.documents.gateways import probe

        registry.register("storage", probe.storage)
