"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DatasyncConfig(AppConfig):
    """Copying and comparing tables."""

    name = "apps.datasync"
    verbose_name = _("Data synchronisation")

    def ready(self) -> None:
        """Register the metrics of synchronisations and comparisons."""
        from apps.core.observability import scrape_registry
        from apps.datasync.gateways.metrics import SyncCollector

        scrape_registry.register(SyncCollector())
