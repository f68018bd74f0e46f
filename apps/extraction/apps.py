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
        from apps.core.seam import metrics, observing, registry, shadow
        from apps.extraction.canary.metrics import CanaryCollector
        from apps.extraction.canary.observer import observer
        from apps.extraction.moving.metrics import MoveCollector
        from apps.extraction.recorder import record

        shadow.publish_to(record, registry.side)
        observing.observe_with(observer.take)
        metrics.asked.register(CanaryCollector(), "canaries")
        if settings.CONTROL_URLS:
            metrics.asked.register(MoveCollector(), "moves")
