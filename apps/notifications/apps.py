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
        from apps.notifications.gateways import probe

        registry.register("mail", probe.mail)
