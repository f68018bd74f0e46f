"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DatasyncConfig(AppConfig):
    """Copies of tables."""

    name = "apps.datasync"
    verbose_name = _("Data synchronisation")

    def ready(self) -> None:
        """How far the copies are is a metric."""
        from apps.core.observability import scrape_registry
        from apps.datasync.gateways.metrics import SyncCollector

        scrape_registry.register(SyncCollector())
