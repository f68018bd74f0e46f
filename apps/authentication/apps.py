"""Application configuration."""

from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class AuthenticationConfig(AppConfig):
    """Accounts and tokens."""

    name = "apps.authentication"
    verbose_name = _("People and access")

    def ready(self) -> None:
        """Register the signing key's readiness probe and, where the process holds the key, the metric of its age."""
        from apps.authentication.gateways.metrics import SigningKeyCollector
        from apps.core.health import registry
        from apps.core.observability import scrape_registry

        registry.register("signing", "apps.authentication.gateways.probe.signing")
        if settings.JWT_SIGNING_KEY:
            scrape_registry.register(SigningKeyCollector())
