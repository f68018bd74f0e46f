"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    """Messages to people."""

    name = "apps.notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        """Register the readiness probe of the mail server."""
        from apps.core.health import registry

        registry.register("mail", "apps.notifications.gateways.probe.mail")
