"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ContractsConfig(AppConfig):
    """Plots and contracts."""

    name = "apps.contracts"
    verbose_name = _("Contracts")
