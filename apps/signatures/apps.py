"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SignaturesConfig(AppConfig):
    """Signatures and trusted authorities."""

    name = "apps.signatures"
    verbose_name = _("Signatures")

    def ready(self) -> None:
        """Register the metric of when certificates and revocation lists expire."""
        from apps.core.observability import scrape_registry
        from apps.signatures.gateways.metrics import CertificateCollector

        scrape_registry.register(CertificateCollector())
