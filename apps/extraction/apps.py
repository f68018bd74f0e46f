"""Application configuration."""

from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class ExtractionConfig(AppConfig):
    """The control plane: where each service is served, and the evidence about it."""

    name = "apps.extraction"
    verbose_name = _("Migration of services")

    def ready(self) -> None:
        """Connect this process's shadow comparisons, call observer and metrics."""
        from apps.core.observability import scrape_registry
        from apps.core.seam.client import call_observer, registry, shadow
        from apps.extraction.routing.canary.metrics import CanaryCollector
        from apps.extraction.routing.canary.observer import observer
        from apps.extraction.routing.shadow.recorder import record
        from apps.extraction.state.metrics import MoveCollector

        shadow.publish_to(record, registry.side)
        call_observer.observe_with(observer.take)
        scrape_registry.register(CanaryCollector(), "canaries")
        if settings.CONTROL_URLS:
            scrape_registry.register(MoveCollector(), "moves")
