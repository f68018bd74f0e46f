"""Application configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SignaturesConfig(AppConfig):
    """Signatures and trusted authorities."""

    name = "apps.signatures"
    verbose_name = _("Signatures")
