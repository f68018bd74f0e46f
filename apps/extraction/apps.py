"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExtractionConfig(AppConfig):
    """The control plane: which service is served where, and what was found out about it."""

    name = "apps.extraction"
    verbose_name = _("Migration of services")

    def ready(self) -> None:
        """From now on this process compares the sides of a shadowed service, and keeps what it finds."""
        from apps.core.seam import registry, shadow
        from apps.extraction.recorder import record

        shadow.publish_to(record, registry.side)
