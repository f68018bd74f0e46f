"""Application configuration."""

from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class ExtractionConfig(AppConfig):
    """The control plane: which service is served where, and what was found out about it."""

    name = "apps.extraction"
    verbose_name = _("Migration of services")

    def ready(self) -> None:
        """From now on this process compares the sides of a service, by shadowing and by a canary, and keeps what it finds."""
        from apps.core.observability import seam_metrics
        from apps.core.seam.client import call_observer, registry, shadow
        from apps.extraction.canary.metrics import CanaryCollector
        from apps.extraction.canary.observer import observer
        from apps.extraction.moving.metrics import MoveCollector
        from apps.extraction.recorder import record

        shadow.publish_to(record, registry.side)
        call_observer.observe_with(observer.take)
        seam_metrics.asked.register(CanaryCollector(), "canaries")
        if settings.CONTROL_URLS:
            seam_metrics.asked.register(MoveCollector(), "moves")
