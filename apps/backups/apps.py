"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BackupsConfig(AppConfig):
    """Backup and restore of every database and of the objects that rows name."""

    name = "apps.backups"
    verbose_name = _("Backups")
