"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DatasyncConfig(AppConfig):
    """Copies of tables."""

    name = "apps.datasync"
    verbose_name = _("Data synchronisation")
